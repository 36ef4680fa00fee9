package machine_test

import (
	"net/http"
	"strings"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/sim/m365/company"
)

func auditID(id string) audit.ContentID { return audit.ContentID(id) }

// connect adds a tenant that the simulation has, as if its administrator had consented.
func (w *world) connect(c *company.Company, scope ...string) connection.ID {
	w.t.Helper()
	tenant := c.Tenant()
	if err := w.sim.Grant(tenant.ID, clientID); err != nil {
		w.t.Fatal(err)
	}
	added, _, err := w.machine.Registry.Add(w.t.Context(), tenant.ID, connection.Commercial, "test")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range scope {
		w.set(added.ID, s)
	}
	_, err = w.machine.Registry.Consented(w.t.Context(), added.ID, connection.Administrator{
		Tenant: connection.TenantID(tenant.ID), Object: c.People()[0].ID, Roles: c.People()[0].Roles,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return added.ID
}

// status sends a request without a body and returns the status of the answer. It follows no redirects.
func (w *world) status(method, path, credential string) int {
	w.t.Helper()
	path = strings.ReplaceAll(path, "{id}", "aaaaaaaaaaaa")
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.base+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if credential != "" {
		req.Header.Set("Authorization", credential)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode
}
