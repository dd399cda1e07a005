<?php
// Classifies an image over HTTP.
//
// php http_client.php IMAGE [SERVICE]    IMAGE: a file or an http(s) URL

$image = $argv[1];
$service = $argv[2] ?? "http://localhost:8080";
if (!preg_match("/^https?:/", $image)) {
    $image = base64_encode(file_get_contents($image));
}
$request = ["image" => $image, "inferenceParams" => ["topK" => 5]];

$call = curl_init("$service/image-classification");
curl_setopt_array($call, [
    CURLOPT_POST => true,
    CURLOPT_POSTFIELDS => json_encode($request),
    // Where the worker asks for a token, add: "Authorization: Bearer " . getenv("TOKEN")
    CURLOPT_HTTPHEADER => ["Content-Type: application/json"],
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_TIMEOUT => 60,
]);
$response = curl_exec($call);
if ($response === false) {
    fwrite(STDERR, "no answer: " . curl_error($call) . "\n");
    exit(1);
}

$answer = json_decode($response, true);
if ($answer["errorCode"] !== 0) {
    fwrite(STDERR, "{$answer["errorCode"]}: {$answer["errorMsg"]}\n");
    exit(1);
}
foreach ($answer["result"]["categories"] as $one) {
    printf("%.5F  %s\n", $one["score"], $one["name"]);
}
file_put_contents("classified.jpg", base64_decode($answer["result"]["image"]));
