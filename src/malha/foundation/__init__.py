"""Who, where, may: settings, database, organisations, people, rights, audit, jobs, events."""
