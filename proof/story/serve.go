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
		_ = server.Close() // no one waits for its answers now
	})
}

// keeper is the part of Secrets Manager that the functions use: GetSecretValue of one secret ("AWS Secrets Manager API
// reference"). It is safe for concurrent use.
type keeper struct {
	arn string

	mu    sync.Mutex
	value string
	shut  bool // nothing can be read
	reads int  // of this value
}

// set changes the secret.
func (k *keeper) set(value string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.value, k.reads = value, 0
}

// close makes the secret unreadable, or readable again.
func (k *keeper) close(shut bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.shut = shut
}

// since returns how often the secret was read since it was changed.
func (k *keeper) since() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.reads
}

func (k *keeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct {
		ID string `json:"SecretId"`
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &in)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case err != nil || in.ID != k.arn || r.Header.Get("X-Amz-Target") != "secretsmanager.GetSecretValue":
		refuse(w, http.StatusBadRequest, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
	case k.shut:
		refuse(w, http.StatusBadRequest, "DecryptionFailure", "Secrets Manager can't decrypt the protected secret text.")
	default:
		k.reads++
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		answer := map[string]string{"ARN": in.ID, "Name": "mailtrail", "SecretString": k.value}
		_ = json.NewEncoder(w).Encode(answer) // the caller may have gone
	}
}
