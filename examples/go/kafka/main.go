// Classifies an image over Kafka.
//
//	go run ./kafka IMAGE [BROKERS [JOBS_TOPIC RESULTS_TOPIC]]    IMAGE: a file or an http(s) URL
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log"
	"os"
	"strings"
	"time"

	"example.org/classify/answer"
	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	log.SetFlags(0)
	args := append(os.Args[1:], []string{"", "localhost:9092", "image-jobs", "image-results"}[len(os.Args)-1:]...)
	if err := classify(args[0], args[1], args[2], args[3]); err != nil {
		log.Fatal(err)
	}
}

func classify(source, brokers, jobs, results string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	image, err := answer.Image(source)
	if err != nil {
		return err
	}
	id := rand.Text()
	job, err := json.Marshal(map[string]any{
		"jobId": id, "image": image, "inferenceParams": map[string]int{"topK": 5},
	})
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(brokers, ",")...),
		kgo.ProducerBatchMaxBytes(8<<20),
		kgo.ConsumeTopics(results),
		// From before the job was sent, so that its result cannot be missed.
		kgo.ConsumeResetOffset(kgo.NewOffset().AfterMilli(time.Now().Add(-time.Minute).UnixMilli())),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: jobs, Value: job}).FirstErr(); err != nil {
		return err
	}
	for {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		for _, record := range fetches.Records() {
			var got answer.Answer
			if json.Unmarshal(record.Value, &got) == nil && got.JobID == id {
				return got.Show()
			}
		}
	}
}
