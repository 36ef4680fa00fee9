package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary be the command itself, so that tests start what users start.
func TestMain(m *testing.M) {
	if os.Getenv("M365_TEST_COMMAND") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// command is the command at work.
type command struct {
	*exec.Cmd
	out *bufio.Reader
}

func start(t *testing.T, args ...string) command {
	t.Helper()
	free := []string{"-addr", "127.0.0.1:0", "-control", "127.0.0.1:0"}
	c := exec.CommandContext(t.Context(), os.Args[0], append(free, args...)...)
	c.Env = append(os.Environ(), "M365_TEST_COMMAND=1")
	c.Stderr = t.Output()
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return command{c, bufio.NewReader(out)}
}

// interrupt presses Ctrl-C and waits for a clean end.
func (c command) interrupt(t *testing.T) {
	t.Helper()
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(c.out)
	if err := c.Wait(); err != nil || len(rest) > 0 {
		t.Errorf("after Ctrl-C: %v, and it still wrote %q", err, rest)
	}
}

func TestACollectorReadsTheCompanysAuditLog(t *testing.T) {
	c := start(t, "-json", "-hostility", "calm", "-history", "30m", "-client-secret", "a b+c")
	var sim ready
	line, err := c.out.ReadBytes('\n')
	if err != nil || json.Unmarshal(line, &sim) != nil {
		t.Fatalf("the summary: %s (%v)", line, err)
	}
	feed := collector{t: t, feed: sim.Manage + "/api/v1.0/" + sim.Tenant + "/activity/feed/", publisher: sim.Publisher}
	feed.signIn(sim)

	feed.ask("POST", feed.feed+"subscriptions/start?contentType=Audit.Exchange", nil)
	end := time.Now().UTC().Add(time.Minute)
	address := feed.feed + "subscriptions/content?contentType=Audit.Exchange" +
		"&startTime=" + end.Add(-time.Hour).Format("2006-01-02T15:04:05") + "&endTime=" + end.Format("2006-01-02T15:04:05")
	var blobs []struct{ ContentURI, ContentID string }
	for address != "" {
		var page []struct{ ContentURI, ContentID string }
		address = feed.ask("GET", address, &page).Get("NextPageUri")
		blobs = append(blobs, page...)
	}
	seen, operations := map[string]bool{}, map[string]int{}
	for _, b := range blobs {
		var records []struct{ ID, OrganizationID, Operation string }
		feed.ask("GET", b.ContentURI, &records)
		for _, r := range records {
			if r.OrganizationID != sim.Tenant || r.ID == "" {
				t.Fatalf("blob %s holds a record of %q", b.ContentID, r.OrganizationID)
			}
			if !seen[r.ID] {
				operations[r.Operation]++
			}
			seen[r.ID] = true
		}
	}
	if len(blobs) < 30 || operations["Send"] < 100 || operations["MailItemsAccessed"] < operations["Send"] {
		t.Errorf("%d blobs with %v", len(blobs), operations)
	}

	feed.token = ""
	var truth []struct {
		RecordID, Unrecorded string
		Files                []struct{ SHA256 string }
	}
	now := time.Now().UTC()
	feed.ask(
		"GET",
		sim.Control+"/truth?hashes=true&tenant="+sim.Tenant+"&from="+now.Add(-10*time.Minute).Format(time.RFC3339)+
			"&to="+now.Add(-5*time.Minute).Format(time.RFC3339),
		&truth,
	)
	hashed := 0
	for _, x := range truth {
		if !seen[x.RecordID] {
			t.Errorf("no blob holds record %s", x.RecordID)
		}
		for _, f := range x.Files {
			hashed += len(f.SHA256) / 64
		}
	}
	if len(truth) < 10 || hashed < 10 {
		t.Errorf("the truth: %d sends, %d hashed files", len(truth), hashed)
	}

	var history []struct{ Op string }
	feed.ask("GET", sim.Control+"/history?op=feed.blob", &history)
	if len(history) != len(blobs) {
		t.Errorf("the control door knows %d blob requests of %d", len(history), len(blobs))
	}
	c.interrupt(t)
}

// collector is the plainest client that there can be.
type collector struct {
	t                      *testing.T
	feed, publisher, token string
}

func (c *collector) signIn(sim ready) {
	c.t.Helper()
	response, err := http.PostForm(sim.Login+"/"+sim.Tenant+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {sim.ClientID}, "client_secret": {sim.ClientSecret},
		"scope": {"https://manage.office.com/.default"},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Token == "" {
		c.t.Fatalf("no token: status %d (%v)", response.StatusCode, err)
	}
	c.token = answer.Token
}

// ask sends a request, reads the JSON of the answer into a value, and returns the headers.
func (c *collector) ask(method, address string, into any) http.Header {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), method, address, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if c.token != "" {
		query := request.URL.Query()
		query.Set("PublisherIdentifier", c.publisher)
		request.URL.RawQuery = query.Encode()
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		c.t.Fatalf("%s %s: %d %s (%v)", method, address, response.StatusCode, body, err)
	}
	if into != nil {
		if err := json.Unmarshal(body, into); err != nil {
			c.t.Fatalf("%s %s: %v: %s", method, address, err, body)
		}
	}
	return response.Header
}

func TestTheSummaryIsForPeopleToo(t *testing.T) {
	c := start(t, "-consented=false", "-history", "0", "-hostility", "storm", "-people", "7")
	var text strings.Builder
	for !strings.Contains(text.String(), "Ready.") {
		line, err := c.out.ReadString('\n')
		if err != nil {
			t.Fatalf("it ended after:\n%s", text.String())
		}
		text.WriteString(line)
	}
	for _, part := range []string{"storm", "7 people", "/manage", "control ", "simulated-secret", "/adminconsent",
		"admin@fernhill.example"} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("the summary lacks %q:\n%s", part, text.String())
		}
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}

func TestWrongFlagsAreRefused(t *testing.T) {
	for flags, part := range map[string]string{
		"-hostility mild": "calm, default or storm", "-history 200h": "-history", "-people 0": "-people",
		"surplus":         "surplus",
		"-client-secret=": "-client-secret", "-seed x": "-seed", "-addr nowhere:port": "the protocol door",
	} {
		err := run(t.Context(), strings.Fields(flags), io.Discard, io.Discard)
		if err == nil || !strings.Contains(fmt.Sprint(err), part) {
			t.Errorf("%s: %v", flags, err)
		}
	}
}
