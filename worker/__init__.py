"""An asyncio worker that classifies images from a Kafka topic."""

__version__ = "0.1.0"
