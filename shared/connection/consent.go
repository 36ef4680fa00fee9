package connection

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/mailtrail/mailtrail/shared/access"
	"github.com/mailtrail/mailtrail/shared/fault"
)

// BeginPath is where a link leads: BeginPath + "?link=" + the link.
const BeginPath = "/consent/begin"

// CallbackPath is where Microsoft sends an administrator's browser back to, after the sign-in and after the consent.
// The address of the service and CallbackPath together are the redirect URI that the application is registered with.
const CallbackPath = "/consent/callback"

const (
	stylePath = "/consent/style.css"
	// cookieName has the __Host- prefix: a browser takes the cookie from this very host only, over TLS only, so that no
	// other host of the domain can plant one.
	cookieName     = "__Host-mailtrail-consent"
	cookieLifetime = time.Hour
	maxForm        = 4 << 10
)

// Consent is the way by which an administrator lets us into a tenant:
//
//	link -> page -> sign-in at Microsoft -> callback -> consent at Microsoft -> callback -> connection
//
// Microsoft's consent callback proves nothing: whoever knows a tenant's id can write one. So the administrator signs in
// first, and the tenant is the one that the verified id_token names; it must be an administrator who may consent, and
// the consent that follows must be for that tenant. Each step is one attempt in the table, found by the hash of its
// state, used up by the first callback that shows it, and bound to the browser by a cookie.
type Consent struct {
	Registry *Registry
	SignIn   SignIn
	Grants   Grants
	// Subscribe starts the tenant's audit subscription if there is none. The poller does the same later.
	Subscribe func(ctx context.Context, c Connection) error
	Trail     *access.Trail
	Log       *slog.Logger
}

// Routes are the doors of the consent. All are public: what lets a request in is the link, and later the state and the
// cookie.
func (c *Consent) Routes() []access.Route {
	door := func(pattern string, h http.HandlerFunc) access.Route {
		return access.Route{Pattern: pattern, Public: true, Handler: h}
	}
	return []access.Route{
		door("GET "+BeginPath, c.show),
		door("POST "+BeginPath, c.begin),
		door("GET "+CallbackPath, c.callback),
		door("GET "+stylePath, style),
	}
}

// show names the connection and the permissions that will be asked for. It uses nothing up, because mail scanners and
// browsers open links on their own.
func (c *Consent) show(w http.ResponseWriter, r *http.Request) {
	link, ok := single(r.URL.Query(), "link")
	if !ok {
		c.refuse(w, r, "", badLink, errors.New("the link is missing"))
		return
	}
	s, err := c.Registry.byLink(r.Context(), link)
	if err != nil {
		c.refuse(w, r, s.ID, refusalOf(err), err)
		return
	}
	origin, err := c.loginOrigin(s.Tenant.Cloud)
	if err != nil {
		c.refuse(w, r, s.ID, broken, err)
		return
	}
	cookie, ok := browser(r)
	if !ok {
		if cookie, err = c.Registry.newSecret(); err != nil {
			c.refuse(w, r, s.ID, broken, err)
			return
		}
	}
	setCookie(w, cookie)
	writeBegin(w, origin, beginPage{
		DisplayName: s.DisplayName, CreatedBy: s.CreatedBy, Action: BeginPath, Link: link, Token: formToken(cookie, link),
	})
}

// begin uses the link up and sends the browser to Microsoft. One Commit closes the link and stores the attempt: after a
// crash the administrator needs a new link, and nothing else is lost.
func (c *Consent) begin(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		c.refuse(w, r, "", badForm, errors.New("the form cannot be read"))
		return
	}
	link, hasLink := single(r.PostForm, "link")
	token, hasToken := single(r.PostForm, "token")
	cookie, hasCookie := browser(r)
	if !hasLink || !hasToken || !hasCookie ||
		subtle.ConstantTimeCompare([]byte(token), []byte(formToken(cookie, link))) != 1 {
		c.refuse(w, r, "", badForm, errors.New("the form does not belong to this browser"))
		return
	}
	state, err := c.Registry.newSecret()
	if err != nil {
		c.refuse(w, r, "", broken, err)
		return
	}
	a := attempt{stage: signingIn, cookie: hashOf(cookie), expires: c.Registry.now().Add(attemptLifetime)}
	a, err = c.Registry.useLink(r.Context(), link, hashOf(state), a)
	if err != nil {
		c.refuse(w, r, a.connection, refusalOf(err), err)
		return
	}
	to, err := c.SignIn.SignInURL(a.cloud, challengeOf(cookie, state))
	if err != nil {
		c.refuse(w, r, a.connection, broken, err)
		return
	}
	seeOther(w, to)
}

// loginOrigin is the origin of the cloud's login, to which the form's redirect leads.
func (c *Consent) loginOrigin(cloud Cloud) (string, error) {
	state, err := c.Registry.newSecret()
	if err != nil {
		return "", err
	}
	to, err := c.SignIn.SignInURL(cloud, challengeOf(state, state))
	if err != nil {
		return "", err
	}
	u, err := url.Parse(to)
	if err != nil || u.Host == "" {
		return "", errors.New("the address of the sign-in is not absolute")
	}
	return u.Scheme + "://" + u.Host, nil
}

// challengeOf derives the nonce and the PKCE verifier from the browser's cookie. The table stores only hashes of the
// cookie and the state, so nothing in it could complete a sign-in.
func challengeOf(cookie, state string) Challenge {
	return Challenge{State: state, Nonce: derive(cookie, "nonce|"+state), Verifier: derive(cookie, "verifier|"+state)}
}

// formToken ties the form to the browser that it was shown in, so that no other site can submit it.
func formToken(cookie, link string) string { return derive(cookie, "form|"+link) }

func derive(cookie, label string) string {
	mac := hmac.New(sha256.New, []byte(cookie))
	mac.Write([]byte(label))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// browser returns the cookie's value if it has the shape of ours.
func browser(r *http.Request) (string, bool) {
	cookies := r.CookiesNamed(cookieName)
	if len(cookies) != 1 || !isSecret(cookies[0].Value) {
		return "", false
	}
	return cookies[0].Value, true
}

func setCookie(w http.ResponseWriter, value string) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: value, Path: "/", MaxAge: int(cookieLifetime.Seconds()),
		Secure: true, HttpOnly: true,
		SameSite: http.SameSiteLaxMode, // with Strict the callback, which comes from Microsoft, would lack it
	})
}

// single returns the value of a parameter that occurs exactly once.
func single(values url.Values, name string) (string, bool) {
	v := values[name]
	if len(v) != 1 {
		return "", false
	}
	return v[0], true
}

// seeOther redirects without a body, since a body would repeat the address and the state in it.
func seeOther(w http.ResponseWriter, to string) {
	secure(w, "'none'")
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// refusalOf is the refusal that an administrator sees for an error of the registry or of Microsoft.
func refusalOf(err error) refusal {
	switch {
	case errors.Is(err, ErrLink), errors.Is(err, ErrNotFound):
		return badLink
	case errors.Is(err, ErrTenant):
		return tenantTaken
	case errors.Is(err, ErrDeauthorized), errors.Is(err, ErrPurging):
		return deauthorizedMeanwhile
	case errors.Is(err, fault.Ours):
		return broken
	case errors.Is(err, fault.Refused):
		return notAccepted
	}
	return unavailable
}
