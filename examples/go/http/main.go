// Classifies an image over HTTP.
//
//	go run ./http IMAGE [SERVICE]    IMAGE: a file or an http(s) URL
package main

import (
	"bytes"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"time"

	"example.org/classify/answer"
)

func main() {
	log.SetFlags(0)
	service := "http://localhost:8080"
	if len(os.Args) > 2 {
		service = os.Args[2]
	}
	image, err := answer.Image(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{
		"image":           image,
		"inferenceParams": map[string]int{"topK": 5},
	})
	if err != nil {
		log.Fatal(err)
	}
	client := http.Client{Timeout: time.Minute}
	// Where the worker asks for a token, make a request with http.NewRequest, and add to it:
	// request.Header.Set("Authorization", "Bearer "+os.Getenv("TOKEN"))
	response, err := client.Post(
		service+"/image-classification", "application/json", bytes.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	var got answer.Answer
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil {
		log.Fatal(err)
	}
	if err := got.Show(); err != nil {
		log.Fatal(err)
	}
}
