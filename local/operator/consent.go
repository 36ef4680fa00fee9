package operator

import (
	"net/http"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/connection"
)

// Consent is what the store keeps of a tenant's consent.
type Consent struct {
	Known  bool   `json:"known"`  // there is a connection to the tenant
	Given  bool   `json:"given"`  // an administrator has consented
	Claims string `json:"claims"` // which of wids and acct the administrator's id_token had
}

// consent says which claims came with a tenant's consent.
func (o *Operator) consent(w http.ResponseWriter, r *http.Request) error {
	all, err := o.Agents.Registry.List(r.Context())
	if err != nil {
		return err
	}
	var said Consent
	for _, c := range all {
		if c.Tenant.ID == connection.TenantID(r.PathValue("tenant")) && (!said.Given || c.Claims != "") {
			said = Consent{Known: true, Given: !c.Consented.IsZero(), Claims: c.Claims}
		}
	}
	access.WriteJSON(w, http.StatusOK, said)
	return nil
}
