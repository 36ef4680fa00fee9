package m365sim

import (
	"net/url"
	"slices"
	"strings"
)

// adminConsent shows the admin consent page: v2 when the request states a scope, v1 when it does not.
func adminConsent(c *call) {
	a, wrong := c.checkedConsent(c.query)
	if wrong != 0 {
		c.errorPage(wrong)
		return
	}
	c.consentPage(a, c.query, 0)
}

// checkedConsent checks for errors that Microsoft shows on its own page and never sends to the app.
func (c *call) checkedConsent(v url.Values) (*app, aad) {
	a, wrong := c.checkedApp(v)
	if wrong != 0 {
		return nil, wrong
	}
	v2 := strings.HasSuffix(c.r.URL.Path, "/v2.0/adminconsent") || v.Get("version") == "2"
	if v2 && !c.consentScope(v.Get("scope")) {
		return nil, errScope
	}
	return a, 0
}

// consentScope reports whether the scope asks for application permissions: one or more {resource}/.default.
func (c *call) consentScope(scope string) bool {
	scopes := strings.Fields(scope)
	return len(scopes) > 0 && !slices.ContainsFunc(scopes, func(one string) bool {
		resource, ok := strings.CutSuffix(one, "/.default")
		if !ok {
			return !slices.Contains([]string{"openid", "profile", "email", "offline_access"}, one)
		}
		_, known := c.resource(resource)
		return !known
	})
}

// decideConsent takes the consent form: Accept or Cancel, by someone who signs in or signed in before.
func decideConsent(c *call) {
	if err := c.r.ParseForm(); err != nil {
		c.errorPage(errParameter)
		return
	}
	form := c.r.PostForm
	a, wrong := c.checkedConsent(form)
	if wrong != 0 {
		c.errorPage(wrong)
		return
	}
	if form.Get("action") == "cancel" {
		c.consentRefused(form, errDeclined)
		return
	}
	home, person, wrong := c.signInForm()
	switch {
	case wrong != 0 && wrong == errForeignAccount:
		c.consentRefused(form, errForeignAccount)
		return
	case wrong != 0:
		c.consentPage(a, form, wrong)
		return
	case !mayConsent(person):
		c.errorPage(errNeedsAdmin)
		return
	}
	if err := c.s.Consent(home.ID, a.ClientID); err != nil {
		c.errorPage(errTransient)
		return
	}
	result := url.Values{"admin_consent": {"True"}, "tenant": {home.ID}}
	for _, name := range []string{"state", "scope"} {
		if form.Has(name) {
			result.Set(name, form.Get(name))
		}
	}
	c.back(url.Values{"redirect_uri": form["redirect_uri"]}, result)
}

// consentRefused is the failure callback: it says admin_consent=True all the same, and names no tenant.
func (c *call) consentRefused(form url.Values, e aad) {
	result := e.redirected(c, form.Get("state"))
	result.Set("admin_consent", "True")
	c.back(url.Values{"redirect_uri": form["redirect_uri"]}, result)
}

// errorPage shows a person what is wrong. The app learns nothing.
func (c *call) errorPage(e aad) {
	_, status, _ := e.meaning()
	c.page(status, "error", pageData{Title: "Sorry, but we're having trouble signing you in.", Error: e.line()})
}
