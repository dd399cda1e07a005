// Classifies an image over HTTP.
//
// java -cp jackson-databind.jar:... HttpExample.java IMAGE [SERVICE]    IMAGE: a file or an http(s) URL

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Base64;
import java.util.Map;

public class HttpExample {
    public static void main(String[] args) throws Exception {
        String image = args[0];
        String service = args.length > 1 ? args[1] : "http://localhost:8080";
        if (!image.matches("https?:.*")) {
            image = Base64.getEncoder().encodeToString(Files.readAllBytes(Path.of(image)));
        }
        ObjectMapper json = new ObjectMapper();
        byte[] body = json.writeValueAsBytes(
                Map.of("image", image, "inferenceParams", Map.of("topK", 5)));
        HttpRequest request = HttpRequest.newBuilder(URI.create(service + "/image-classification"))
                // Where the worker asks for a token, add:
                // .header("Authorization", "Bearer " + System.getenv("TOKEN"))
                .header("Content-Type", "application/json")
                .timeout(Duration.ofSeconds(60))
                .POST(HttpRequest.BodyPublishers.ofByteArray(body))
                .build();
        HttpResponse<byte[]> response = HttpClient.newHttpClient()
                .send(request, HttpResponse.BodyHandlers.ofByteArray());

        JsonNode answer = json.readTree(response.body());
        if (answer.get("errorCode").asInt() != 0) {
            System.err.println(answer.get("errorCode") + ": " + answer.get("errorMsg").asText());
            System.exit(1);
        }
        for (JsonNode one : answer.get("result").get("categories")) {
            System.out.printf("%.5f  %s%n", one.get("score").asDouble(), one.get("name").asText());
        }
        Files.write(Path.of("classified.jpg"), answer.get("result").get("image").binaryValue());
    }
}
