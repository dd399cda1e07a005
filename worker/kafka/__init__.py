"""Kafka: consuming jobs, ledgers and commits, publishing. Nothing else imports aiokafka."""
