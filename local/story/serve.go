package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// hold serves on l until ctx ends; owners wait for it.
func hold(ctx context.Context, owners *sync.WaitGroup, l net.Listener, h http.Handler) {
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	owners.Go(func() {
		_ = server.Serve(l) // until it is closed
	})
	owners.Go(func() {
		<-ctx.Done()
		_ = server.Close() // nobody waits for its answers any more
	})
}

// secrets is as much of Secrets Manager as the functions use: GetSecretValue ("AWS Secrets Manager API reference").
type secrets map[string]string // by ARN

func (s secrets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct {
		ID string `json:"SecretId"`
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &in)
	}
	value, ok := s[in.ID]
	if err != nil || !ok || r.Header.Get("X-Amz-Target") != "secretsmanager.GetSecretValue" {
		refuse(w, http.StatusBadRequest, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(map[string]string{"ARN": in.ID, "Name": "mailtrail", "SecretString": value}) // a caller who is gone does not miss it
}
