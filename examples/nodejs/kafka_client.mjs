// Classifies an image over Kafka.
//
// node kafka_client.mjs IMAGE [BROKERS [JOBS_TOPIC RESULTS_TOPIC]]    IMAGE: a file or an http(s) URL

import { randomUUID } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { Consumer, MessagesStreamModes, Producer } from "@platformatic/kafka";

const [image, brokers = "localhost:9092", jobs = "image-jobs", results = "image-results"] =
  process.argv.slice(2);
const client = { clientId: "example", bootstrapBrokers: brokers.split(",") };

const job = {
  jobId: randomUUID(),
  image: /^https?:/.test(image) ? image : await readFile(image, "base64"),
  inferenceParams: { topK: 5 },
};
// A group of its own: this reader wants all partitions for itself, and commits nothing.
const consumer = new Consumer({ ...client, groupId: `example-${job.jobId}`, maxBytes: 8 << 20 });
const producer = new Producer(client);

// At the end of the results before the job is sent, so that its own cannot be missed.
const stream = await consumer.consume({
  topics: [results],
  mode: MessagesStreamModes.LATEST,
  autocommit: false,
});
await producer.send({ messages: [{ topic: jobs, value: Buffer.from(JSON.stringify(job)) }] });
const timer = setTimeout(() => stream.destroy(new Error("no result within 60 s")), 60_000);

let answer;
for await (const { value } of stream) {
  answer = JSON.parse(value);
  if (answer.jobId === job.jobId) break;
}
clearTimeout(timer);
await consumer.close(true);
await producer.close();

if (answer.errorCode !== 0) {
  console.error(`${answer.errorCode}: ${answer.errorMsg}`);
  process.exit(1);
}
for (const { name, score } of answer.result.categories) console.log(`${score.toFixed(5)}  ${name}`);
await writeFile("classified.jpg", answer.result.image, "base64");
