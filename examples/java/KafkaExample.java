// Classifies an image over Kafka.
//
// java -cp kafka-clients.jar:... KafkaExample.java IMAGE [BROKERS [JOBS_TOPIC RESULTS_TOPIC]]

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.Map;
import java.util.UUID;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class KafkaExample {
    static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] args) throws Exception {
        String image = args[0].matches("https?:.*")
                ? args[0]
                : Base64.getEncoder().encodeToString(Files.readAllBytes(Path.of(args[0])));
        Map<String, Object> client = Map.of(
                "bootstrap.servers", args.length > 1 ? args[1] : "localhost:9092",
                "max.request.size", 8 << 20, "max.partition.fetch.bytes", 8 << 20);
        String jobs = args.length > 2 ? args[2] : "image-jobs";
        String results = args.length > 3 ? args[3] : "image-results";
        String id = UUID.randomUUID().toString();
        byte[] job = JSON.writeValueAsBytes(
                Map.of("jobId", id, "image", image, "inferenceParams", Map.of("topK", 5)));

        try (var bytes = new ByteArrayDeserializer();
                var consumer = new KafkaConsumer<>(client, bytes, bytes);
                var producer = new KafkaProducer<>(
                        client, new ByteArraySerializer(), new ByteArraySerializer())) {
            // At the end of the results before the job is sent, so that its own cannot be missed.
            consumer.assign(consumer.partitionsFor(results).stream()
                    .map(one -> new TopicPartition(one.topic(), one.partition())).toList());
            consumer.seekToEnd(consumer.assignment());
            consumer.assignment().forEach(consumer::position);
            producer.send(new ProducerRecord<>(jobs, job)).get();
            for (Instant end = Instant.now().plusSeconds(60); Instant.now().isBefore(end);) {
                for (var record : consumer.poll(Duration.ofSeconds(1))) {
                    JsonNode answer = JSON.readTree(record.value());
                    if (id.equals(answer.get("jobId").asText())) {
                        System.exit(show(answer));
                    }
                }
            }
        }
        System.err.println("no result within 60 s");
        System.exit(1);
    }

    static int show(JsonNode answer) throws Exception {
        if (answer.get("errorCode").asInt() != 0) {
            System.err.println(answer.get("errorCode") + ": " + answer.get("errorMsg").asText());
            return 1;
        }
        for (JsonNode one : answer.get("result").get("categories")) {
            System.out.printf("%.5f  %s%n", one.get("score").asDouble(), one.get("name").asText());
        }
        Files.write(Path.of("classified.jpg"), answer.get("result").get("image").binaryValue());
        return 0;
    }
}
