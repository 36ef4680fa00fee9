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
	badLink refusal = iota + 1
	badForm
	badReply
	badState
	otherBrowser
	declined
	notAccepted
	noAdministrator
	guest
	otherTenant
	tenantTaken
	deauthorizedMeanwhile
	unavailable
	broken
)

const newLink = "Ask whoever sent you the link for a new one, and begin again."

// page is what the administrator sees of a refusal. The cause goes to the log.
func (v refusal) page() (status int, p resultPage) {
	switch v {
	case badLink:
		return http.StatusGone, resultPage{Title: "This link does not work any more", Sentence: "A link works once, and for 24 hours.", Next: newLink}
	case badForm:
		return http.StatusForbidden, resultPage{Title: "This page was open for too long", Sentence: "The form does not belong to this browser any more, or the browser keeps no cookies.", Next: "Open the link that you were sent again, and allow cookies for this site. It has not been used up."}
	case badReply:
		return http.StatusBadRequest, resultPage{Title: "This is not an answer from Microsoft", Sentence: "What came back from Microsoft is incomplete or was changed on the way. Nothing was connected.", Next: newLink}
	case badState:
		return http.StatusGone, resultPage{Title: "This step is over", Sentence: "The answer from Microsoft came too late, or was used before. Nothing was connected by it.", Next: newLink}
	case otherBrowser:
		return http.StatusForbidden, resultPage{Title: "Another browser began this", Sentence: "The sign-in must end in the browser that it began in. Nothing was connected.", Next: newLink}
	case declined:
		return http.StatusForbidden, resultPage{Title: "The consent was not given", Sentence: "The sign-in or the consent was cancelled at Microsoft. Nothing was connected.", Next: "If that was not meant: ask whoever sent you the link for a new one, and begin again."}
	case notAccepted:
		return http.StatusForbidden, resultPage{Title: "Microsoft did not let you in", Sentence: "The sign-in or the consent did not succeed at Microsoft. Nothing was connected.", Next: "Sign in with a work account of the tenant. " + newLink}
	case noAdministrator:
		return http.StatusForbidden, resultPage{Title: "An administrator is needed", Sentence: "The account that you signed in with is neither a Global Administrator nor a Privileged Role Administrator of its tenant. Nothing was connected.", Next: "Activate the role, or send the request on to somebody who holds it. " + newLink}
	case guest:
		return http.StatusForbidden, resultPage{Title: "A guest cannot consent", Sentence: "The account that you signed in with is a guest of the tenant. Nothing was connected.", Next: "Sign in with an administrator's account of the tenant itself. " + newLink}
	case otherTenant:
		return http.StatusForbidden, resultPage{Title: "The tenants differ", Sentence: "You signed in to one tenant, and the consent came back for another. Nothing was connected.", Next: newLink}
	case tenantTaken:
		return http.StatusConflict, resultPage{Title: "The tenant is already registered", Sentence: "The tenant belongs to another connection, or this connection belongs to another tenant. Nothing was changed.", Next: "Tell whoever sent you the link: the connection that has the tenant can be authorized again."}
	case deauthorizedMeanwhile:
		return http.StatusConflict, resultPage{Title: "The connection was stopped", Sentence: "The connection was deauthorized while you were at Microsoft. It stays so.", Next: "Tell whoever sent you the link: it has to be resumed first."}
	case broken:
		return http.StatusInternalServerError, resultPage{Title: "Mailtrail is not set up correctly", Sentence: "This is not your fault. Nothing was connected.", Next: "Tell whoever runs Mailtrail, and name the reference below."}
	}
	return http.StatusServiceUnavailable, resultPage{Title: "That did not work now", Sentence: "Microsoft or our own storage cannot be reached. It is not certain that the connection was authorized.", Next: "Wait some minutes. " + newLink}
}

// refuse ends a consent: the page for the administrator, and the cause, once, for the log. The log gets neither the address nor any
// of its parameters.
func (c *Consent) refuse(w http.ResponseWriter, r *http.Request, id ID, v refusal, cause error) {
	status, p := v.page()
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
	c.Log.Log(r.Context(), level, "consent refused", "reference", p.Reference, "connection", id, "status", status, "title", p.Title, "err", cause)
	writeResult(w, status, p)
}

func writeBegin(w http.ResponseWriter, loginOrigin string, p beginPage) {
	// A form's redirects count as its actions in Chromium, so the login has to be allowed too.
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
	_, _ = w.Write(body.Bytes()) // a browser that went away does not miss it
}

// secure sets what holds for every answer of the consent: no scripts, no frames, no trace of the address elsewhere.
func secure(w http.ResponseWriter, formAction string) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; form-action "+formAction+"; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
}

func style(w http.ResponseWriter, r *http.Request) {
	secure(w, "'none'")
	w.Header().Set("Cache-Control", "public, max-age=3600")
	http.ServeFileFS(w, r, pageFiles, "pages/style.css")
}
