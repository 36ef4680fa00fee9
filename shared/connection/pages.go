package connection

import (
	"bytes"
	"embed"
	"encoding/hex"
	"html/template"
	"log/slog"
	"net/http"

	"github.com/mailtrail/mailtrail/shared/fault"
)

//go:embed pages
var pageFiles embed.FS

var pages = template.Must(template.ParseFS(pageFiles, "pages/*.html"))

// beginPage is what pages/begin.html shows.
type beginPage struct {
	DisplayName string
	CreatedBy   string
	Action      string // where the form goes
	Link, Token string // hidden in the form
}

// resultPage is what pages/result.html shows.
type resultPage struct {
	Title, Sentence, Next string
	Reference             string // finds the cause in the log; "" when all went well
}

// refusal is why a consent ended without a connection.
type refusal int

const (
	unavailable refusal = iota
	badLink
	badForm
	badReply
	badState
	otherBrowser
	declined
	notAccepted
	noAdministrator
	noRoles
	guest
	otherTenant
	wrongTenant
	tenantTaken
	deauthorizedMeanwhile
	broken
)

const newLink = "Ask whoever sent you the link for a new one, and begin again."

// refusals are what the administrator sees of each.
var refusals = map[refusal]struct {
	status int
	page   resultPage
}{
	unavailable: {http.StatusServiceUnavailable, resultPage{
		Title:    "This does not work at the moment",
		Sentence: "Microsoft or our own storage could not be reached. The connection may or may not be authorized.",
		Next:     "Wait a few minutes. " + newLink,
	}},
	badLink: {http.StatusGone, resultPage{
		Title:    "This link is no longer valid",
		Sentence: "A link works once, for 24 hours.",
		Next:     newLink,
	}},
	badForm: {http.StatusForbidden, resultPage{
		Title:    "This page was open for too long",
		Sentence: "The form no longer belongs to this browser, or the browser does not keep cookies.",
		Next:     "Allow cookies for this site, and open the link that you were sent again. It has not been used up.",
	}},
	badReply: {http.StatusBadRequest, resultPage{
		Title:    "This is not an answer from Microsoft",
		Sentence: "The answer is incomplete, or was changed on the way. Nothing was connected.",
		Next:     newLink,
	}},
	badState: {http.StatusGone, resultPage{
		Title:    "This step is over",
		Sentence: "The answer from Microsoft came too late, or had been used before. It connected nothing.",
		Next:     newLink,
	}},
	otherBrowser: {http.StatusForbidden, resultPage{
		Title:    "Another browser began this",
		Sentence: "The sign-in must end in the browser that it began in. Nothing was connected.",
		Next:     newLink,
	}},
	declined: {http.StatusForbidden, resultPage{
		Title:    "The consent was not given",
		Sentence: "The sign-in or the consent was cancelled at Microsoft. Nothing was connected.",
		Next:     "If you did not mean to cancel it, ask whoever sent you the link for a new one, and begin again.",
	}},
	notAccepted: {http.StatusForbidden, resultPage{
		Title:    "Microsoft did not let you in",
		Sentence: "The sign-in or the consent did not succeed at Microsoft. Nothing was connected.",
		Next:     "Sign in with a work account of the tenant. " + newLink,
	}},
	noAdministrator: {http.StatusForbidden, resultPage{
		Title: "An administrator is needed",
		Sentence: "The account that you signed in with is neither a Global Administrator nor a Privileged Role " +
			"Administrator of its tenant. Nothing was connected.",
		Next: "Activate the role, or forward the request to somebody who holds it. " + newLink,
	}},
	noRoles: {http.StatusForbidden, resultPage{
		Title: "Mailtrail cannot see your roles",
		Sentence: "Microsoft did not say which directory roles you hold, so we cannot see whether you may consent. " +
			"Either you hold none, or Mailtrail's registration does not ask for them. Nothing was connected.",
		Next: "If you are a Global Administrator or a Privileged Role Administrator, ask whoever runs Mailtrail to add the " +
			"claim wids and the group membership claim DirectoryRole to its registration, and mention the reference below. " +
			"Otherwise forward the request to an administrator. " + newLink,
	}},
	guest: {http.StatusForbidden, resultPage{
		Title:    "A guest cannot consent",
		Sentence: "The account that you signed in with is a guest of the tenant. Nothing was connected.",
		Next:     "Sign in with an administrator's account of the tenant itself. " + newLink,
	}},
	otherTenant: {http.StatusForbidden, resultPage{
		Title:    "The tenants differ",
		Sentence: "You signed in to one tenant, and the consent came back for another. Nothing was connected.",
		Next:     newLink,
	}},
	wrongTenant: {http.StatusForbidden, resultPage{
		Title:    "This link is for another tenant",
		Sentence: "The connection was added for one tenant, and you signed in to a different one. Nothing was connected.",
		Next:     "Sign in with an administrator's account of that tenant. " + newLink,
	}},
	tenantTaken: {http.StatusConflict, resultPage{
		Title: "The tenant is already registered",
		Sentence: "The tenant belongs to another connection, or this connection belongs to another tenant. " +
			"Nothing was changed.",
		Next: "Tell whoever sent you the link: the connection that has the tenant can be authorized again.",
	}},
	deauthorizedMeanwhile: {http.StatusConflict, resultPage{
		Title:    "The connection was stopped",
		Sentence: "The connection was deauthorized while you were at Microsoft, and stays deauthorized.",
		Next:     "Tell whoever sent you the link that it has to be resumed first.",
	}},
	broken: {http.StatusInternalServerError, resultPage{
		Title:    "Mailtrail is not set up correctly",
		Sentence: "This is not your fault. Nothing was connected.",
		Next:     "Tell whoever runs Mailtrail, and mention the reference below.",
	}},
}

// refuse ends a consent. The administrator gets a page, and the log gets the cause, but neither the address nor its
// parameters.
func (c *Consent) refuse(w http.ResponseWriter, r *http.Request, id ID, v refusal, cause error) {
	status, p := refusals[v].status, refusals[v].page
	if known, ok := tenantCause(fault.Code(cause)); ok && v == notAccepted {
		p.Sentence, p.Next = known.Sentence+" Nothing was connected.", known.Action+" "+newLink
	}
	if b, err := random(c.Registry.Rand, 6); err == nil {
		p.Reference = hex.EncodeToString(b)
	}
	level := slog.LevelWarn
	if status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	c.Log.Log(
		r.Context(),
		level,
		"consent refused",
		"reference",
		p.Reference,
		"connection",
		id,
		"status",
		status,
		"title",
		p.Title,
		"err",
		cause,
	)
	writeResult(w, status, p)
}

func writeBegin(w http.ResponseWriter, loginOrigin string, p beginPage) {
	// Chromium counts the redirects of a form as its actions, so the login has to be allowed as well.
	writePage(w, http.StatusOK, "'self' "+loginOrigin, "begin.html", p)
}

func writeResult(w http.ResponseWriter, status int, p resultPage) {
	writePage(w, status, "'none'", "result.html", p)
}

func writePage(w http.ResponseWriter, status int, formAction, name string, data any) {
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, name, data); err != nil {
		status = http.StatusInternalServerError
		body.Reset()
	}
	secure(w, formAction)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // a browser that has gone away does not need it
}

// secure sets the headers of every answer of the consent: no scripts, no frames, and no referrer.
func secure(w http.ResponseWriter, formAction string) {
	h := w.Header()
	h.Set(
		"Content-Security-Policy",
		"default-src 'none'; style-src 'self'; base-uri 'none'; form-action "+formAction+"; frame-ancestors 'none'",
	)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
}

func style(w http.ResponseWriter, r *http.Request) {
	secure(w, "'none'")
	w.Header().Set("Cache-Control", "public, max-age=3600")
	http.ServeFileFS(w, r, pageFiles, "pages/style.css")
}
