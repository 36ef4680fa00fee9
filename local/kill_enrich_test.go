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
)

// TestKilledWhileEnrichingAndStartedAgainLeavesNoMessageWaiting kills Mailtrail while it looks for recipients and hashes, several times. In
// the end every message that was stored by then is enriched or given up, which takes a minute, and none is there twice.
func TestKilledWhileEnrichingAndStartedAgainLeavesNoMessageWaiting(t *testing.T) {
	t.Parallel()
	const kills = 4
	data := filepath.Join(t.TempDir(), "data")
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
	stored := fmt.Sprintf(`{"term":"event.inserted","operator":"ON_OR_BEFORE","value":%q}`, killed.Format("2006-01-02T15:04:05.000Z"))
	waiting := stored + `,{"term":"event.enriched","operator":"DOES_NOT_EXIST"}`
	all := len(find(t, told, token, stored, "@timestamp"))
	if all == 0 {
		t.Fatal("nothing was stored before the last kill: nothing is shown by this test")
	}
	// In the order of ids they are shown as soon as nothing waits that arrived before them.
	for deadline := time.Now().Add(4 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		wait, shown := len(find(t, told, token, waiting, "@timestamp")), len(find(t, told, token, stored, "event.id"))
		if wait == 0 && shown >= all {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d events wait for ever, and %d are shown in the order of ids", wait, all, shown)
		}
	}
	ids := map[string]bool{}
	for _, e := range find(t, told, token, stored, "event.id") {
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

// find returns up to 10,000 events for which all filters hold.
func find(t *testing.T, told summary, token, filters, key string) []event {
	t.Helper()
	body := fmt.Sprintf(`{"groups":[{"filterClause":"AND","filters":[%s]}],"pgSize":10000,"srtKey":%q,"srtDir":"asc"}`, filters, key)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, told.API+"/v2/file-events", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	var page struct{ FileEvents []event }
	answerOf(t, req, &page)
	return page.FileEvents
}
