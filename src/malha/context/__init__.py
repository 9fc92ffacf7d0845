"""What is true now: entities and the NGSI-LD broker."""
