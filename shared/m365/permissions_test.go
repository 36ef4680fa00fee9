package m365_test

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/m365"
)

func TestMissingPermissionsAreReadFromFreshTokens(t *testing.T) {
	m := newMicrosoft(t, emptyPage)
	granted := map[string][]string{}
	m.login = func(w http.ResponseWriter, r *http.Request) {
		m.grant(w, time.Hour, granted[r.PostFormValue("scope")]...)
	}
	c := m.client(t)
	ask := func(want ...string) {
		t.Helper()
		got, err := c.MissingPermissions(context.Background(), contoso())
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("missing %v %v, want %v", got, err, want)
		}
	}
	ask("ActivityFeed.Read", "Mail.Read", "User.Read.All")
	granted["https://manage.office.com/.default"] = []string{"ActivityFeed.Read"}
	granted["https://graph.microsoft.com/.default"] = []string{"User.Read.All", "ActivityFeed.Read"}
	ask("Mail.Read")
	granted["https://graph.microsoft.com/.default"] = []string{"User.Read.All", "Mail.Read"}
	ask()
	m.login = func(w http.ResponseWriter, _ *http.Request) { loginRefuses(w, 400, "unauthorized_client", 700016) }
	_, err := c.MissingPermissions(context.Background(), contoso())
	check(t, err, fault.Refused, "AADSTS700016", 400)
	m.login = func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"access_token": "opaque", "expires_in": 3599})
	}
	_, err = c.MissingPermissions(context.Background(), contoso())
	check(t, err, fault.Retry, m365.Unreadable, 0)
}
