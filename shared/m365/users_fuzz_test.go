package m365

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/shared/people"
)

// Whatever Graph says of a person, what is made of it can be compared and stored, and a person without a usable plan is
// not licensed.
func FuzzPeople(f *testing.F) {
	f.Add(
		[]byte(
			`{"id":"A","userPrincipalName":"Ada@contoso.test","mail":"Ada@contoso.test","userType":"Member","accountEnabled":true,` +
				`"proxyAddresses":["SMTP:Ada@contoso.test","smtp:a@contoso.test","X500:/o=x"],"assignedPlans":[{"servicePlanId":"2F442157-a11c-46b9-ae5b-6e39ff4e5849","capabilityStatus":"Warning"}]}`,
		),
	)
	f.Add([]byte(`{"id":"b","@removed":{"reason":"changed"}}`))
	f.Add([]byte(`{"id":null,"proxyAddresses":[null,":","smtp:"],"assignedPlans":null,"accountEnabled":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var u user
		if json.Unmarshal(body, &u) != nil {
			return
		}
		p, seen := u.person(), map[string]bool{}
		for _, a := range p.Addresses {
			if a == "" || a != people.Fold(a) || seen[a] {
				t.Errorf("address %q of %q", a, p.Addresses)
			}
			seen[a] = true
		}
		if string(p.ID) != strings.ToLower(string(p.ID)) || p.Guest && p.Mailbox {
			t.Errorf("person %+v", p)
		}
		if usable := strings.Contains(string(body), "Enabled") ||
			strings.Contains(string(body), "Warning"); p.Licensed() && !usable &&
			!strings.Contains(string(body), `\\u`) {
			t.Errorf("%q is licensed: %+v", body, p)
		}
	})
}
