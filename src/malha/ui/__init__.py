"""The design system: frame, components and assets, without words of any domain."""
