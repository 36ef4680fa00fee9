package connection

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/fault"
)

const (
	maxQuery         = 16 << 10 // bytes of a callback's query: a code has about two thousand
	subscribeTimeout = 10 * time.Second
)

// The roles that may consent to application permissions of Microsoft Graph ("Grant tenant-wide admin consent"), as
// their template ids stand in "wids". An Application Administrator may not.
const (
	globalAdministrator         = "62e90394-69f5-4237-9190-012177145e10"
	privilegedRoleAdministrator = "e8611ab8-c189-46e8-94e1-60213ab1f814"
)

// reply is what Microsoft sent back through the browser. Nothing in it can be trusted: whoever controls the browser can
// write it.
type reply struct {
	state        string
	failed       bool   // there is an error; then nothing else counts, for "admin_consent=True" comes with errors too
	failure      string // the AADSTS code of the error, or ""
	declined     bool   // the administrator said no
	code         string // of a sign-in
	hasCode      bool
	tenant       TenantID // of a consent
	adminConsent bool
	hasConsent   bool // "tenant" or "admin_consent" is there
}

// readReply reads a callback's query, and refuses one that cannot be Microsoft's: oversized, unreadable, without a
// state of our shape, or with a value twice.
func readReply(raw string) (reply, error) {
	if len(raw) > maxQuery {
		return reply{}, errors.New("the query is too long")
	}
	q, err := url.ParseQuery(raw)
	if err != nil {
		return reply{}, errors.New("the query cannot be read")
	}
	for _, name := range []string{"state", "code", "tenant", "admin_consent", "error", "error_description"} {
		if len(q[name]) > 1 {
			return reply{}, fmt.Errorf("%s stands twice", name)
		}
	}
	p := reply{
		state:        q.Get("state"),
		failed:       q.Has("error") || q.Has("error_description"),
		code:         q.Get("code"),
		hasCode:      q.Has("code"),
		tenant:       TenantID(strings.ToLower(q.Get("tenant"))),
		adminConsent: strings.EqualFold(q.Get("admin_consent"), "True"),
		hasConsent:   q.Has("tenant") || q.Has("admin_consent"),
	}
	if !isSecret(p.state) {
		return reply{}, errors.New("the state is missing, or none of ours")
	}
	if p.failed {
		p.failure = failureOf(q.Get("error_description"))
		p.declined = p.failure == "AADSTS65004" ||
			slices.Contains([]string{"access_denied", "permission_denied", "consent_required"}, q.Get("error")) &&
				p.failure == ""
	}
	return p, nil
}

// failureOf finds the code that a description starts with: "AADSTS65004: User declined to consent…". The rest is shown
// to nobody.
func failureOf(description string) string {
	code, _, _ := strings.Cut(description, ":")
	digits, ok := strings.CutPrefix(code, "AADSTS")
	if !ok || digits == "" || len(digits) > 10 || strings.Trim(digits, "0123456789") != "" {
		return ""
	}
	return code
}

// callback receives the answers to both steps. It uses the state up before it looks at anything else, so that no answer
// counts twice.
func (c *Consent) callback(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead { // a scanner of links, which must not use the state up
		secure(w, "'none'")
		return
	}
	p, err := readReply(r.URL.RawQuery)
	if err != nil {
		c.refuse(w, r, "", badReply, err)
		return
	}
	a, err := c.Registry.take(r.Context(), hashOf(p.state))
	if err != nil {
		v := unavailable
		if errors.Is(err, errState) {
			v = badState
		}
		c.refuse(w, r, a.connection, v, err)
		return
	}
	cookie, ok := browser(r)
	if !ok || subtle.ConstantTimeCompare([]byte(hashOf(cookie)), []byte(a.cookie)) != 1 {
		c.refuse(w, r, a.connection, otherBrowser, errors.New("the cookie is missing, or another one"))
		return
	}
	switch {
	case p.declined:
		c.refuse(w, r, a.connection, declined, fmt.Errorf("declined at the %s: %s", a.stage, p.failure))
	case p.failed:
		c.refuse(w, r, a.connection, notAccepted, &fault.Error{
			Kind: fault.Refused, Code: p.failure, Err: fmt.Errorf("the %s ended at Microsoft with %q", a.stage, p.failure),
		})
	case a.stage == signingIn && p.hasCode && p.code != "" && !p.hasConsent:
		c.signedIn(w, r, a, p, cookie)
	case a.stage == consenting && p.hasConsent && !p.hasCode:
		c.consented(w, r, a, p)
	default:
		c.refuse(w, r, a.connection, badReply, fmt.Errorf("the reply is not one to a %s", a.stage))
	}
}

// signedIn verifies who signed in, and sends the administrator on to consent for the tenant that the id_token names.
func (c *Consent) signedIn(w http.ResponseWriter, r *http.Request, a attempt, p reply, cookie string) {
	ctx := r.Context()
	who, err := c.SignIn.Redeem(ctx, a.cloud, p.code, challengeOf(cookie, p.state))
	if err != nil {
		c.refuse(w, r, a.connection, refusalOf(err), err)
		return
	}
	if v, err := c.admit(ctx, a, who); err != nil {
		c.refuse(w, r, a.connection, v, err)
		return
	}
	state, err := c.Registry.newSecret()
	if err != nil {
		c.refuse(w, r, a.connection, broken, err)
		return
	}
	to, err := c.SignIn.ConsentURL(Tenant{ID: who.Tenant, Cloud: a.cloud}, state)
	if err != nil {
		c.refuse(w, r, a.connection, broken, err)
		return
	}
	a.stage, a.tenant, a.administrator, a.claims = consenting, who.Tenant, who.Object, who.Claims
	a.expires = c.Registry.now().Add(attemptLifetime)
	if err := c.Registry.start(ctx, hashOf(state), a); err != nil {
		c.refuse(w, r, a.connection, unavailable, err)
		return
	}
	setCookie(w, cookie) // for another hour
	seeOther(w, to)
}

// admit decides whether the user who signed in may consent for the connection.
func (c *Consent) admit(ctx context.Context, a attempt, who Administrator) (refusal, error) {
	switch {
	case !who.Tenant.valid() || who.Object == "":
		return notAccepted, errors.New("the id_token names no tenant or no user")
	case who.Guest:
		return guest, fmt.Errorf("user %s is a guest of tenant %s", who.Object, who.Tenant)
	case who.Roles == nil:
		return noRoles, fmt.Errorf("the id_token of user %s of tenant %s has no claim wids: the registration lacks the "+
			"optional claim wids or groupMembershipClaims", who.Object, who.Tenant)
	case !slices.Contains(who.Roles, globalAdministrator) && !slices.Contains(who.Roles, privilegedRoleAdministrator):
		return noAdministrator, fmt.Errorf("user %s of tenant %s holds no role that may consent", who.Object, who.Tenant)
	}
	s, err := c.Registry.get(ctx, a.connection)
	if err == nil {
		err = a.current(s)
	}
	if err == nil {
		err = c.Registry.free(ctx, a.connection, who.Tenant)
	}
	if err != nil {
		return refusalOf(err), fmt.Errorf("tenant %s: %w", who.Tenant, err)
	}
	if why, err := c.wanted(ctx, s.Connection, who.Tenant); err != nil {
		return why, err
	}
	// A GCC tenant signs in at the same place as a commercial one. Without this check it could be bound to a connection
	// that never finds its audit log.
	if cloud, err := c.SignIn.CloudOf(ctx, Tenant{ID: who.Tenant, Cloud: a.cloud}); err == nil && cloud != a.cloud {
		return notAccepted, &fault.Error{
			Kind: fault.Refused,
			Code: OtherCloud + string(cloud),
			Err:  fmt.Errorf("tenant %s lives in cloud %s, and not in %s", who.Tenant, cloud, a.cloud),
		}
	}
	return 0, nil
}

// wanted refuses a tenant if the connection was added for another one.
func (c *Consent) wanted(ctx context.Context, conn Connection, is TenantID) (refusal, error) {
	want := TenantID(conn.Wanted)
	if want != "" && !want.valid() {
		var err error
		if want, err = c.SignIn.TenantOf(ctx, conn.Tenant.Cloud, conn.Wanted); err != nil {
			return refusalOf(err), fmt.Errorf("find out whose domain %s is: %w", conn.Wanted, err)
		}
	}
	if want != "" && want != is {
		return wrongTenant, fmt.Errorf("the connection is for %s, and somebody of tenant %s signed in", conn.Wanted, is)
	}
	return 0, nil
}

// consented ends the consent. Order of writes: the trail, then the connection, then the subscription. A crash after the
// trail leaves an entry for a consent that has to be given again; a crash after the connection leaves a connection that
// the poller subscribes.
func (c *Consent) consented(w http.ResponseWriter, r *http.Request, a attempt, p reply) {
	ctx := r.Context()
	switch {
	case p.tenant != a.tenant:
		c.refuse(
			w,
			r,
			a.connection,
			otherTenant,
			fmt.Errorf("signed in to tenant %s, and the reply names another one", a.tenant),
		)
		return
	case !p.adminConsent:
		c.refuse(w, r, a.connection, declined, errors.New("admin_consent is not True"))
		return
	}
	detail, err := json.Marshal(map[string]any{"connection": a.connection, "tenant": a.tenant})
	if err == nil {
		err = c.Trail.Record(ctx, access.Entry{
			Who: a.administrator, What: "connection.consent", Detail: string(detail),
			Connections: access.Limit{string(a.connection)},
		})
	}
	if err != nil {
		c.refuse(w, r, a.connection, unavailable, err)
		return
	}
	conn, err := c.Registry.bind(ctx, a.connection,
		Administrator{Tenant: a.tenant, Object: a.administrator, Claims: a.claims}, a.current)
	if err != nil {
		c.refuse(w, r, a.connection, refusalOf(err), err)
		return
	}
	c.Grants.Forget(conn.Tenant)
	writeResult(w, http.StatusOK, resultPage{
		Title:    "Mailtrail may now read the audit log",
		Sentence: "The connection " + conn.DisplayName + " is authorized.",
		Next:     c.firstLook(ctx, conn),
	})
}

// firstLook starts the subscription if the permissions have spread already, and says what there is to wait for. The
// administrator does not see its failures: permissions can take up to an hour, and the poller tries again.
func (c *Consent) firstLook(ctx context.Context, conn Connection) string {
	ctx, cancel := context.WithTimeout(ctx, subscribeTimeout)
	defer cancel()
	err := c.Subscribe(ctx, conn)
	missing, errMissing := c.Grants.MissingPermissions(ctx, conn.Tenant)
	if err = errors.Join(err, errMissing); err != nil {
		c.Log.InfoContext(
			ctx,
			"the first look after a consent failed; the poller continues",
			"connection",
			conn.ID,
			"err",
			err,
		)
	}
	switch {
	case len(missing) > 0:
		return "These permissions are still spreading through Microsoft's directory: " +
			strings.Join(missing, ", ") + ". This can take up to an hour. You can close this page."
	case err != nil:
		return "The permissions can take up to an hour to spread through Microsoft's directory. You can close this page."
	}
	return "Monitoring begins now. You can close this page."
}
