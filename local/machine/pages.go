package machine

import (
	"net/http"

	"github.com/mailtrail/mailtrail/shared/access"
)

// pages are the doors of the machine itself.
func (m *Machine) pages() []access.Route {
	return []access.Route{
		{Pattern: "GET /healthz", Public: true, Handler: http.HandlerFunc(m.healthz)},
	}
}

// healthz answers 200 once events can be searched.
func (m *Machine) healthz(w http.ResponseWriter, r *http.Request) {
	if !m.config.Ready() {
		access.WriteJSON(w, http.StatusServiceUnavailable, map[string]string{"status": "starting"})
		return
	}
	access.WriteJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}
