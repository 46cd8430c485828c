"""Everything that touches PostgreSQL, ClickHouse, RabbitMQ, Redis, S3 and folders: the adapters of the ports of
gcc/channels, gcc/sources and gcc/actors, and what the API reads. Their drivers are imported in this room alone.
"""
