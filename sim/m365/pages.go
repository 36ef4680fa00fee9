package m365sim

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/mailtrail/mailtrail/sim/m365/world"
)

//go:embed pages.html
var pagesHTML string

// pageData is what the pages show. Hidden are the fields that the form carries on.
type pageData struct {
	Title  string
	App    string
	Action string
	Accept string // the label of the button that agrees
	Error  string
	Signed string // the account of the browser's session
	Hint   string // the account that the app suggested
	Roles  []string
	Hidden []field
	People []world.Person
}

type field struct{ Name, Value string }

// hidden turns the parameters of a request into hidden fields, without what the person types.
func hidden(v url.Values) []field {
	var fields []field
	for name, values := range v {
		if len(values) > 0 && !slices.Contains([]string{"account", "password", "action"}, name) {
			fields = append(fields, field{name, values[0]})
		}
	}
	slices.SortFunc(fields, func(a, b field) int { return strings.Compare(a.Name, b.Name) })
	return fields
}

// signInPage asks for an account, even in a browser that signed in before.
func (c *call) signInPage(a *app, v url.Values, wrong aad) {
	c.page(http.StatusOK, "form", pageData{
		Title: "Sign in", App: a.DisplayName, Accept: "Sign in",
		Action: c.base(login) + "/" + c.r.PathValue("tenant") + "/login",
		Error:  wrong.line(), Hint: v.Get("login_hint"), Hidden: hidden(v), People: c.hints(),
	})
}

func (c *call) consentPage(a *app, v url.Values, wrong aad) {
	data := pageData{
		Title: "Permissions requested: review for your organization", App: a.DisplayName, Accept: "Accept",
		Action: c.base(login) + "/" + c.r.PathValue("tenant") + "/consent", Error: wrong.line(),
		Roles: slices.Concat(a.ActivityRoles, a.GraphRoles), Hidden: hidden(v), People: c.hints(),
	}
	if strings.HasSuffix(c.r.URL.Path, "/v2.0/adminconsent") {
		data.Hidden = append(data.Hidden, field{"version", "2"})
	}
	if _, person, wrong := c.fromSession(); wrong == 0 {
		data.Signed = person.UserPrincipalName
	}
	c.page(http.StatusOK, "form", data)
}

// postBackPage is a form that the browser posts to the app, for response_mode=form_post.
func (c *call) postBackPage(target string, result url.Values) {
	c.page(http.StatusOK, "postback", pageData{Title: "Working...", Action: target, Hidden: hidden(result)})
}

func (c *call) page(status int, name string, data pageData) {
	pages, err := template.New("pages").Parse(pagesHTML)
	var body bytes.Buffer
	if err == nil {
		err = pages.ExecuteTemplate(&body, name, data)
	}
	if err != nil {
		c.opts.Log.ErrorContext(c.r.Context(), "write a page", "page", name, "error", err)
		status = http.StatusInternalServerError
	}
	header := c.w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Frame-Options", "DENY")
	c.body(status, body.Bytes())
}
