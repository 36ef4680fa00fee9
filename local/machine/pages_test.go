package machine_test

import (
	"html"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/shared/access"
	m365sim "github.com/mailtrail/mailtrail/sim/m365"
)

// TestTheFrontPageNamesWhatThereIs requests every address that the page names, and sends the search that it shows.
func TestTheFrontPageNamesWhatThereIs(t *testing.T) {
	w := start(t, m365sim.Options{Seed: 1})
	resp, err := http.Get(w.base + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	policy := resp.Header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("the page's policy is %q", policy)
	}
	page := string(b)
	for _, outside := range []string{"http:", "https:", "<script", "style="} {
		if strings.Contains(page, outside) {
			t.Errorf("the page has %q", outside)
		}
	}

	named := regexp.MustCompile(`<code>(GET|POST) ([^<\s]+)`).FindAllStringSubmatch(page, -1)
	if len(named) < 8 {
		t.Fatalf("the page names %d addresses", len(named))
	}
	for _, m := range named {
		routed := false
		for _, r := range w.machine.Routes {
			routed = routed || r.Pattern == m[1]+" "+m[2]
		}
		if !routed {
			t.Errorf("the page names %s %s, where nothing is", m[1], m[2])
		}
	}

	_, query, _ := strings.Cut(page, "application/json\n\n")
	query, _, _ = strings.Cut(query, "</code>")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.base+"/v2/file-events",
		strings.NewReader(html.UnescapeString(query)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.login(access.Analyst))
	req.Header.Set("Content-Type", "application/json")
	w.do(req, http.StatusOK, nil)
}
