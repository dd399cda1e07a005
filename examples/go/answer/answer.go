// Package answer has what the HTTP and the Kafka example share: the image that is sent, and the answer that comes.
package answer

import (
	"encoding/base64"
	"fmt"
	"os"
	"strings"
)

// Answer is the response over HTTP, and the result over Kafka.
type Answer struct {
	JobID     string `json:"jobId"`
	ErrorCode int    `json:"errorCode"`
	ErrorMsg  string `json:"errorMsg"`
	Result    struct {
		Categories []struct {
			ID    int     `json:"id"`
			Name  string  `json:"name"`
			Score float64 `json:"score"`
		} `json:"categories"`
		Image []byte `json:"image"` // Base64 in JSON
	} `json:"result"`
}

// Image is the field "image" for a file or an http(s) URL.
func Image(source string) (string, error) {
	if strings.HasPrefix(source, "http://") || strings.HasPrefix(source, "https://") {
		return source, nil
	}
	data, err := os.ReadFile(source)
	return base64.StdEncoding.EncodeToString(data), err
}

// Show prints the categories and saves the picture as classified.jpg.
func (a Answer) Show() error {
	if a.ErrorCode != 0 {
		return fmt.Errorf("%d: %s", a.ErrorCode, a.ErrorMsg)
	}
	for _, category := range a.Result.Categories {
		fmt.Printf("%.5f  %s\n", category.Score, category.Name)
	}
	return os.WriteFile("classified.jpg", a.Result.Image, 0o644)
}
