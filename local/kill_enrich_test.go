package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/local/demo"
)

// TestKilledWhileEnrichingAndStartedAgainLeavesNoMessageWaiting kills Mailtrail while it looks for recipients and
// hashes, several times. In the end every message that was stored by then is enriched or given up, which takes a
// minute, and none is there twice.
func TestKilledWhileEnrichingAndStartedAgainLeavesNoMessageWaiting(t *testing.T) {
	t.Parallel()
	const kills = 4
	data := t.TempDir()
	// A quarter of an hour of mail is more than is enriched between the kills.
	begun(t, data, time.Now().Add(demo.History-15*time.Minute))
	dice := rand.New(rand.NewPCG(3, 4))
	for round := range kills {
		c := startChild(t, data, "")
		if round == 0 && !c.until("failed=0 queued=") {
			t.Fatal("the child ended before it had polled")
		}
		// Enriching is under way; where exactly it is hit does not matter.
		time.Sleep(time.Duration(100+dice.IntN(900)) * time.Millisecond)
		c.kill(t)
	}
	killed := time.Now().UTC()
	if err := os.RemoveAll(filepath.Join(data, runFile)); err != nil { // of a start that got to its end
		t.Fatal(err)
	}

	c := startChild(t, data, "")
	defer c.kill(t)
	go c.until("\x00") // nobody else empties the pipe
	told := running(t, filepath.Join(data, runFile))
	token := login(t, told)
	stored := fmt.Sprintf(
		`{"term":"event.inserted","operator":"ON_OR_BEFORE","value":%q}`,
		killed.Format("2006-01-02T15:04:05.000Z"),
	)
	waiting := stored + `,{"term":"event.enriched","operator":"DOES_NOT_EXIST"}`
	all := ask(t, told, token, stored, "@timestamp", 1).TotalCount
	if all == 0 {
		t.Fatal("nothing was stored before the last kill: nothing is shown by this test")
	}
	// In the order of ids they are shown as soon as nothing waits that arrived before them.
	for deadline := time.Now().Add(4 * time.Minute); ; time.Sleep(time.Second) {
		wait, shown := ask(t, told, token, waiting, "@timestamp", 1).TotalCount, 0
		if wait == 0 {
			shown = len(ask(t, told, token, stored, "event.id", 10_000).FileEvents)
		}
		if wait == 0 && shown >= all {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d events wait for ever, and %d are shown in the order of ids", wait, all, shown)
		}
	}
	ids := map[string]bool{}
	for _, e := range ask(t, told, token, stored, "event.id", 10_000).FileEvents {
		if ids[e.Event.ID] {
			t.Errorf("event %s was found twice", e.Event.ID)
		}
		ids[e.Event.ID] = true
	}
}

// running is the summary of a start that got to its end.
func running(t *testing.T, name string) summary {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var told summary
		if b, err := os.ReadFile(name); err == nil && json.Unmarshal(b, &told) == nil {
			return told
		}
	}
	t.Fatal("no summary within two minutes")
	return summary{}
}

func login(t *testing.T, told summary) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, told.API+"/v1/oauth", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(told.ClientID, told.ClientSecret)
	var login struct {
		Token string `json:"access_token"`
	}
	answerOf(t, req, &login)
	return login.Token
}

// found is a page of events, and how many there are.
type found struct {
	FileEvents []event
	TotalCount int
}

// ask returns up to size of the events for which all filters hold.
func ask(t *testing.T, told summary, token, filters, key string, size int) (page found) {
	t.Helper()
	body := fmt.Sprintf(
		`{"groups":[{"filterClause":"AND","filters":[%s]}],"pgSize":%d,"srtKey":%q,"srtDir":"asc"}`,
		filters,
		size,
		key,
	)
	req, err := http.NewRequestWithContext(
		t.Context(),
		http.MethodPost,
		told.API+"/v2/file-events",
		strings.NewReader(body),
	)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	answerOf(t, req, &page)
	return page
}

// begun makes a data folder whose simulated company began at a time.
func begun(t *testing.T, data string, since time.Time) {
	t.Helper()
	state, err := json.Marshal(map[string]any{
		"source": "company", "protocol": "127.0.0.1:0", "control": "127.0.0.1:0", "clientSecret": "secret",
		"since": since.UTC().Truncate(time.Second),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "simulated.json"), state, 0o600); err != nil {
		t.Fatal(err)
	}
}
