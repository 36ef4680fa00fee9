package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/embedded"
	"github.com/mailtrail/mailtrail/shared/trigger"
)

func TestACreatedClientMayLogIn(t *testing.T) {
	store, err := embedded.Open(t.TempDir(), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	connections := store.Table("connections")
	clients := &access.Clients{Table: connections, Now: time.Now, Rand: rand.Reader}
	trail := &access.Trail{Table: connections, Now: time.Now, Rand: rand.Reader}
	registry := &connection.Registry{Table: connections, Now: time.Now, Rand: rand.Reader}
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(&said, nil))
	command := &trigger.Command[access.NewClient]{
		Name: "createClient", Run: create(&access.ClientAPI{Clients: clients, Trail: trail, Connections: registry.IDs,
			Log: log}),
		Else: &trigger.HTTP{Handler: http.NotFoundHandler(), Log: log}, Log: log,
	}
	event := func(name string) []byte {
		b, err := os.ReadFile("../../events/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		return b
	}

	if _, err := command.Invoke(t.Context(), event("create-client-bad-role")); err == nil {
		t.Error("a client with an unknown role was made")
	}
	answer, err := command.Invoke(t.Context(), event("create-client"))
	if err != nil {
		t.Fatal(err)
	}
	var made struct{ ClientID, ClientSecret string }
	if err := json.Unmarshal(answer, &made); err != nil {
		t.Fatal(err)
	}
	caller, err := clients.Check(t.Context(), made.ClientID, made.ClientSecret)
	if err != nil || !caller.May(access.Admin) || !caller.May(access.Analyst) {
		t.Errorf("%+v, %v", caller, err)
	}
	if _, err := clients.Check(t.Context(), made.ClientID, "another"); !errors.Is(err, access.ErrDenied) {
		t.Errorf("another secret: %v", err)
	}
	var acts []access.Entry
	for e, err := range trail.List(t.Context(), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)) {
		if err != nil {
			t.Fatal(err)
		}
		acts = append(acts, e)
	}
	if len(acts) != 1 || acts[0].What != "client.create" || acts[0].Who != operator ||
		strings.Contains(acts[0].Detail, made.ClientSecret) {
		t.Errorf("the trail has %+v", acts)
	}
	if strings.Contains(said.String(), made.ClientSecret) {
		t.Error("the log holds the secret")
	}
}
