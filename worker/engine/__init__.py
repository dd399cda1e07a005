"""The core that Kafka, HTTP, `predict` and `create_pipeline` share: images in, categories out."""
