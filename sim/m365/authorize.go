package m365sim

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// signInCode is what an authorization code stands for until it is redeemed.
type signInCode struct {
	used      bool
	expires   time.Time
	client    string
	redirect  string
	tenant    string
	person    string
	scope     string
	nonce     string
	challenge string // S256; empty when the client sent none
}

// checkedApp finds the app and checks the redirect URI, before anything may be sent there.
func (c *call) checkedApp(values url.Values) (*app, aad) {
	a := c.s.app(values.Get("client_id"))
	switch {
	case a == nil:
		return nil, errAppUnknown
	case !slices.Contains(a.RedirectURIs, values.Get("redirect_uri")):
		return nil, errRedirect
	case c.tenant == nil && !anyTenant(c.r.PathValue("tenant")):
		return nil, errTenantUnknown
	case a.SingleTenant && (c.tenant == nil || !strings.EqualFold(c.tenant.ID, a.HomeTenant)):
		return nil, errSingleTenant
	case c.tenant != nil && loginHost(c.tenant.Cloud) != loginHost(c.opts.Cloud):
		return nil, errOtherCloud
	}
	return a, 0
}

// authorize shows the sign-in page. Errors of the request go back to the app, except for a wrong app or
// redirect URI: only the page shows those.
func authorize(c *call) {
	a, wrong := c.checkedApp(c.query)
	if wrong != 0 {
		c.errorPage(wrong)
		return
	}
	if wrong := checkAuthorize(c.query); wrong != 0 {
		c.back(c.query, wrong.redirected(c, c.query.Get("state")))
		return
	}
	c.signInPage(a, c.query, 0)
}

func checkAuthorize(v url.Values) aad {
	mode := v.Get("response_mode")
	switch {
	case v.Get("response_type") != "code":
		return errResponseType
	case !slices.Contains(strings.Fields(v.Get("scope")), "openid"):
		return errScope
	case mode != "" && mode != "query" && mode != "form_post":
		return errParameter
	case v.Get("code_challenge") != "" && (v.Get("code_challenge_method") != "S256" ||
		len(v.Get("code_challenge")) != 43):
		return errChallenge
	}
	return 0
}

// signIn takes the sign-in form. Its hidden fields are the parameters of authorize and are checked again, since the
// browser could have changed them.
func signIn(c *call) {
	if err := c.r.ParseForm(); err != nil {
		c.errorPage(errParameter)
		return
	}
	form := c.r.PostForm
	a, wrong := c.checkedApp(form)
	if wrong != 0 {
		c.errorPage(wrong)
		return
	}
	if wrong := checkAuthorize(form); wrong != 0 {
		c.back(form, wrong.redirected(c, form.Get("state")))
		return
	}
	if form.Get("action") == "cancel" {
		declined := errDeclined.redirected(c, form.Get("state"))
		declined.Set("error_subcode", "cancel")
		c.back(form, declined)
		return
	}
	home, person, wrong := c.signInForm()
	if wrong != 0 {
		c.signInPage(a, form, wrong)
		return
	}
	// A sign-in by itself makes the app's service principal in the tenant, without any role.
	if err := c.s.onPrincipal(home.ID, a.ClientID, func(*principal) {}); err != nil {
		c.errorPage(errTenantUnknown)
		return
	}
	code := "0.A" + rand.Text() + rand.Text()
	expires := c.now.Add(c.opts.CodeLife)
	c.s.codes.put(code, signInCode{
		expires: expires, client: a.ClientID, redirect: form.Get("redirect_uri"), tenant: home.ID, person: person.ID,
		scope: form.Get("scope"), nonce: form.Get("nonce"), challenge: form.Get("code_challenge"),
	}, c.now, expires.Add(time.Hour)) // kept past its life, so that a code used twice differs from a late one
	result := url.Values{"code": {code}, "session_state": {c.id}}
	if state := form.Get("state"); state != "" {
		result.Set("state", state)
	}
	c.back(form, result)
}

// redirected is the error as the parameters of a callback.
func (e aad) redirected(c *call, state string) url.Values {
	kind, _, _ := e.meaning()
	v := url.Values{"error": {kind}, "error_description": {c.traced(e.line())}, "error_uri": {e.uri(c)}}
	if state != "" {
		v.Set("state", state)
	}
	return v
}

// back sends the browser to the app's redirect URI with the result.
func (c *call) back(request, result url.Values) {
	target := request.Get("redirect_uri")
	if request.Get("response_mode") == "form_post" {
		c.postBackPage(target, result)
		return
	}
	separator := "?"
	if strings.Contains(target, "?") {
		separator = "&"
	}
	http.Redirect(c.w, c.r, target+separator+result.Encode(), http.StatusFound)
}
