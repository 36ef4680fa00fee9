package machine

import (
	_ "embed"
	"net/http"

	"github.com/mailtrail/mailtrail/shared/access"
)

// front is the page at the root. It says what this machine is and which requests it answers, and shows no data of any
// tenant.
//
//go:embed front.html
var front []byte

// pages are the routes of the machine itself.
func (m *Machine) pages() []access.Route {
	return []access.Route{
		{Pattern: "GET /{$}", Public: true, Handler: http.HandlerFunc(showFront)},
		{Pattern: "GET /healthz", Public: true, Handler: http.HandlerFunc(m.healthz)},
	}
}

func showFront(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	_, _ = w.Write(front) // whoever asked has gone
}

// healthz answers 200 once events can be searched.
func (m *Machine) healthz(w http.ResponseWriter, _ *http.Request) {
	if !m.config.Ready() {
		access.WriteJSON(w, http.StatusServiceUnavailable, map[string]string{"status": "starting"})
		return
	}
	access.WriteJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}
