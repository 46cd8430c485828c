"""Private servers for tests and for `make services`: real RabbitMQ, Redis, S3, each a child of this process.

Every one keeps all that it has in a folder given to it, listens on loopback on a free port, and dies with its
owner, kill -9 included. None touches a server that runs on this machine already.
"""
