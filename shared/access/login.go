package access

import (
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// maxForm bounds the body of a login: two short values.
const maxForm = 8 << 10

// Login exchanges a client's secret for an access token: POST /v1/oauth, the client credentials grant of RFC 6749. It
// accepts what Incydr's clients send. The credential comes as HTTP Basic, and then the body may be empty and the grant
// left out, or in the form; the grant comes in the query or in the form.
type Login struct {
	Clients *Clients
	Tokens  *Tokens
	Log     *slog.Logger
}

// Routes are the doors of the login.
func (l *Login) Routes() []Route {
	return []Route{{Pattern: "POST /v1/oauth", Public: true, Handler: http.HandlerFunc(l.token)}}
}

type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"`
}

type tokenError struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

func (l *Login) token(w http.ResponseWriter, r *http.Request) {
	id, secret, refused := credential(w, r)
	if refused != nil {
		WriteJSON(w, http.StatusBadRequest, refused)
		return
	}
	caller, err := l.Clients.Check(r.Context(), id, secret)
	if errors.Is(err, ErrDenied) {
		w.Header().Set("WWW-Authenticate", `Basic realm="mailtrail"`)
		WriteJSON(w, http.StatusUnauthorized, tokenError{Error: "invalid_client"})
		return
	}
	var token string
	if err == nil {
		token, err = l.Tokens.Issue(r.Context(), caller.ID)
	}
	if err != nil {
		l.Log.ErrorContext(r.Context(), "issuing a token failed", "err", err)
		WriteJSON(w, http.StatusServiceUnavailable, tokenError{Error: "temporarily_unavailable"})
		return
	}
	WriteJSON(w, http.StatusOK, tokenAnswer{AccessToken: token, TokenType: "bearer", ExpiresIn: int(Lifetime.Seconds())})
}

// credential reads the id and the secret of a login, or says what is wrong with the request. Whether they are valid, or
// missing, is for Check to say.
func credential(w http.ResponseWriter, r *http.Request) (id, secret string, refused *tokenError) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if err != nil {
		return "", "", invalidRequest("The body is too long for a login, or was cut short.")
	}
	var form url.Values
	if len(body) > 0 {
		if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/x-www-form-urlencoded" {
			return "", "", invalidRequest("The body must be application/x-www-form-urlencoded, or empty.")
		}
		if form, err = url.ParseQuery(string(body)); err != nil {
			return "", "", invalidRequest("The body is not a form.")
		}
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return "", "", invalidRequest("The query string is malformed.")
	}
	if query.Has("client_secret") {
		return "", "", invalidRequest("The secret must not be in the query, because addresses are logged.")
	}
	grants := append(query["grant_type"], form["grant_type"]...)
	for _, grant := range grants {
		if grant != "client_credentials" {
			return "", "", &tokenError{Error: "unsupported_grant_type", Description: "The only grant is client_credentials."}
		}
	}
	if len(form["client_id"]) > 1 || len(form["client_secret"]) > 1 {
		return "", "", invalidRequest("A field is given twice in the form.")
	}

	id, secret, basic := r.BasicAuth()
	if basic && form.Has("client_secret") {
		return "", "", invalidRequest("The credential is both in the header and in the form.")
	}
	if basic {
		return id, secret, nil
	}
	if len(grants) == 0 && form.Has("client_secret") {
		return "", "", invalidRequest("grant_type is missing.")
	}
	return strings.TrimSpace(form.Get("client_id")), form.Get("client_secret"), nil
}

func invalidRequest(why string) *tokenError {
	return &tokenError{Error: "invalid_request", Description: why}
}
