"""The Kafka door: intake, ledgers, commits, publishing. Nothing else imports aiokafka."""
