package m365

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
)

const (
	maxErrorBody = 64 << 10       // bytes that are read of an error's body
	maxMessage   = 200            // characters that are quoted of Microsoft's message
	maxWait      = 24 * time.Hour // the longest Retry-After that we believe
	// unsaidWait is the wait after a throttle of Graph that does not say how long. Asking at once would only be
	// throttled again, and counted.
	unsaidWait = 10 * time.Second
)

// answer is an unsuccessful answer.
type answer struct {
	what   string // what was tried, in our nouns
	status int
	header http.Header
	body   []byte
	hidden []string // what must not be quoted if the answer repeats it
	now    time.Time
}

// readAnswer reads an answer and closes it. A body that breaks off is classified by what has arrived.
func readAnswer(what string, resp *http.Response, now time.Time, hidden ...string) answer {
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	return answer{what: what, status: resp.StatusCode, header: resp.Header, body: body, hidden: hidden, now: now}
}

// activityError classifies an answer of the Activity API; blob says whether a content blob was asked for.
func (a answer) activityError(tenant connection.TenantID, blob bool) error {
	if redirected(a.status) {
		return a.redirect()
	}
	code, message := apiCode(a.body)
	if a.status == http.StatusBadRequest && !isActivityCode(code) && logOff(message, tenant) {
		// The raw text is an exception of Microsoft's with its stack: none of it is quoted.
		return a.fault(
			fault.Refused,
			connection.AuditLogOff,
			errors.New("the tenant's unified audit log is off or not provisioned yet"),
		)
	}
	detail := a.detail(code, message)
	kind, known := kindOf(code)
	switch cause := activityCause(code); {
	case throttles(code) || a.status == http.StatusTooManyRequests:
		f := a.fault(fault.Retry, code, detail)
		f.After = cmp.Or(f.After, waitIn(message))
		return f
	case a.status >= 500:
		return a.fault(fault.Retry, code, detail)
	case cause != nil:
		return a.fault(kind, code, fmt.Errorf("%w: %w", detail, cause))
	case known:
		return a.fault(kind, code, detail)
	case !a.isJSON() && len(a.body) > 0: // a page of something in between, which knows nothing of the tenant
		return a.fault(fault.Retry, code, detail)
	case a.status == http.StatusNotFound && blob:
		return a.fault(fault.Poison, code, fmt.Errorf("%w: %w", detail, audit.ErrGone))
	case a.status == http.StatusUnauthorized || a.status == http.StatusForbidden:
		return a.fault(fault.Refused, code, detail)
	}
	return a.fault(fault.Retry, code, detail)
}

// graphError classifies an answer of Graph ("Microsoft Graph error responses and resource types"): by its code, as
// Microsoft says, and by its status where the code is none that we know. The message is not quoted, because it holds
// addresses of the tenant's people.
//
// fault.Refused means that the application lacks a permission (Authorization_RequestDenied), or that the tenant denies
// us the mailbox (ErrorAccessDenied). fault.Poison means that something does not exist (404), no longer exists (410),
// or does not support the call (405).
func (a answer) graphError() error {
	if redirected(a.status) {
		return a.redirect()
	}
	code, _ := apiCode(a.body)
	detail := a.detail(code, "")
	kind, known := kindOf(code)
	switch {
	case a.status == http.StatusTooManyRequests:
		return a.throttled(code, detail)
	case a.status >= 500:
		return a.fault(fault.Retry, code, detail)
	case known:
		return a.fault(kind, code, detail)
	case !a.isJSON() && len(a.body) > 0: // a page of something in between, which knows nothing of the tenant
		return a.fault(fault.Retry, code, detail)
	case a.status == http.StatusUnauthorized || a.status == http.StatusForbidden:
		return a.fault(fault.Refused, code, detail)
	case a.status == http.StatusNotFound, a.status == http.StatusGone, a.status == http.StatusMethodNotAllowed:
		return a.fault(fault.Poison, code, detail)
	}
	return a.fault(fault.Retry, code, detail)
}

// loginError classifies an answer of the token endpoint. An error that Microsoft calls transient is transient, whatever
// its number. Otherwise the number decides, and after it "error".
func (a answer) loginError() error {
	if redirected(a.status) {
		return a.redirect()
	}
	var said struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
		Codes       []int  `json:"error_codes"`
	}
	if json.Unmarshal(a.body, &said) != nil {
		return a.fault(fault.Retry, "", a.detail("", ""))
	}
	number, message := loginNumber(said.Description, said.Codes)
	code := cleanCode(said.Error)
	if number != 0 {
		code = "AADSTS" + strconv.Itoa(number)
	}
	detail := a.detail(code, message)
	byName, named := loginErrorKind(said.Error)
	byNumber, numbered := kindOf("AADSTS" + strconv.Itoa(number))
	switch {
	case a.status >= 500, a.status == http.StatusTooManyRequests, named && byName == fault.Retry:
		return a.fault(fault.Retry, code, detail)
	case numbered:
		return a.fault(byNumber, code, detail)
	case named:
		return a.fault(byName, code, detail)
	}
	return a.fault(fault.Retry, code, detail)
}

func (a answer) fault(kind error, code string, detail error) *fault.Error {
	return &fault.Error{
		Kind:   kind,
		Code:   code,
		Status: a.status,
		After:  retryAfter(a.header, a.now),
		Err:    fmt.Errorf("%s: %w", a.what, detail),
	}
}

// throttled returns a fault that always says how long to wait.
func (a answer) throttled(code string, detail error) error {
	wait := cmp.Or(retryAfter(a.header, a.now), unsaidWait)
	return &fault.Error{
		Kind:   fault.Retry,
		Code:   code,
		Status: a.status,
		After:  wait,
		Err:    fmt.Errorf("%s: %w", a.what, detail),
	}
}

func (a answer) detail(code, message string) error {
	text := "HTTP " + strconv.Itoa(a.status)
	if code != "" {
		text += " " + code
	}
	if message = clean(message, a.hidden); message != "" {
		text += ": " + message
	}
	return errors.New(text)
}

// redirect names the host that we were sent to, but nothing else of the address.
func (a answer) redirect() error {
	host := "an unknown host"
	if u, err := url.Parse(a.header.Get("Location")); err == nil && u.Host != "" {
		host = clean(u.Host, a.hidden)
	}
	return a.fault(fault.Retry, Redirect, fmt.Errorf("HTTP %d: a redirect to %s is not followed", a.status, host))
}

func redirected(status int) bool { return status >= 300 && status < 400 }

func (a answer) isJSON() bool { return isJSON(a.header) }

// isJSON also accepts an answer without a content type: the decoder finds out what it is.
func isJSON(h http.Header) bool {
	kind, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	return kind == "" || kind == "application/json" || kind == "text/json" || strings.HasSuffix(kind, "+json")
}

// apiCode reads {"error":{"code","message"}}, the form of both APIs, or {"Message"}, which a front end of the Activity
// API answers.
func apiCode(body []byte) (code, message string) {
	var said struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
	}
	if json.Unmarshal(body, &said) != nil {
		return "", ""
	}
	var inner struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	if json.Unmarshal(said.Error, &inner) != nil {
		return "", said.Message
	}
	return cleanCode(inner.Code), inner.Message
}

func isActivityCode(code string) bool {
	digits, ok := strings.CutPrefix(code, "AF")
	_, err := strconv.ParseUint(digits, 10, 32)
	return ok && err == nil
}

// logOff recognizes the answer for a tenant without a unified audit log ("Troubleshooting the Office 365 Management
// Activity API"). It is the only failure that only its text identifies.
func logOff(message string, tenant connection.TenantID) bool {
	return strings.Contains(strings.ToLower(message), "tenant "+strings.ToLower(string(tenant))+" does not exist")
}

// loginNumber finds the AADSTS number, and the message without it.
func loginNumber(description string, codes []int) (number int, message string) {
	message = description
	if rest, ok := strings.CutPrefix(description, "AADSTS"); ok {
		digits, text, _ := strings.Cut(rest, ":")
		if n, err := strconv.ParseUint(digits, 10, 31); err == nil {
			number, message = int(n), strings.TrimSpace(text)
		}
	}
	if len(codes) > 0 && codes[0] > 0 {
		number = codes[0]
	}
	return number, message
}

// throttles says whether a code of the Activity API means that we are throttled, whatever the status. "429" comes for
// starts of a subscription, with status 403 or 429.
func throttles(code string) bool { return code == "429" || code == "AF429" }

// waitIn reads how long to wait from the text of a throttle, "... Please retry again after 8m 46s."; 0 if it does not
// say.
func waitIn(message string) time.Duration {
	said := waitText.FindStringSubmatch(message)
	if said == nil {
		return 0
	}
	wait, err := time.ParseDuration(strings.ReplaceAll(said[1], " ", ""))
	if err != nil {
		return 0
	}
	return min(wait, maxWait)
}

var waitText = regexp.MustCompile(`(?i)retry (?:again )?after ((?:\d{1,4}[hms] ?){1,3})`)

// retryAfter reads the header Retry-After, in seconds or as an HTTP date; anything else is 0.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, maxWait)
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(0, min(date.Sub(now), maxWait))
	}
	return 0
}

// cleanCode keeps what looks like a code, and drops a sentence in its place.
func cleanCode(s string) string {
	strange := strings.ContainsFunc(s, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' && r != '-' && r != '.'
	})
	if strange || len(s) > 64 {
		return ""
	}
	return s
}

// clean makes a message quotable: one short line without what must be hidden, and without the stack and the trace ids
// that Microsoft appends.
func clean(message string, hidden []string) string {
	for _, h := range hidden {
		if h != "" {
			message = strings.ReplaceAll(message, h, "[hidden]")
			message = strings.ReplaceAll(message, url.QueryEscape(h), "[hidden]")
		}
	}
	message = strings.ToValidUTF8(strings.TrimSpace(message), "")
	for _, tail := range []string{"\r", "\n", " Trace ID:", " Correlation ID:", " at Microsoft.", "[CorrId="} {
		message, _, _ = strings.Cut(message, tail)
	}
	message = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, message)
	message = strings.Join(strings.Fields(message), " ")
	if letters := []rune(message); len(letters) > maxMessage {
		message = string(letters[:maxMessage-1]) + "…"
	}
	return message
}

// unreachable is a failure without an answer: nobody refused anything, so the same call may succeed later.
func unreachable(what string, err error, hidden ...string) error {
	// The address in a *url.Error says no more than what, and may be long.
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return &fault.Error{Kind: fault.Retry, Err: fmt.Errorf("%s: %w", what, &quiet{clean(err.Error(), hidden), err})}
}

// quiet is an error with a cleaned text. errors.Is finds the cause, but printing does not show it.
type quiet struct {
	text  string
	cause error
}

func (q *quiet) Error() string        { return q.text }
func (q *quiet) Is(target error) bool { return errors.Is(q.cause, target) }

// Our own codes for what Microsoft has no code for, besides connection.AuditLogOff.
const (
	// ForeignURI: a URI in Microsoft's answer points outside the tenant's cloud. No token was sent to it.
	ForeignURI = "ForeignURI"
	// Redirect: the answer was a redirect, which is never followed.
	Redirect = "Redirect"
	// Unreadable: the answer had a good status, but is not what the API answers: a proxy's page, or cut or oversized
	// JSON.
	Unreadable = "Unreadable"
	// NotPermitted: Graph forbids a call for which the token does not carry the permission.
	NotPermitted = "NotPermitted"
	// BadIDToken: the id_token of a sign-in is not acceptable.
	BadIDToken = "BadIDToken"
	// PersonalAccount: somebody signed in with a personal Microsoft account, which belongs to no tenant.
	PersonalAccount = "PersonalAccount"
)

// activityCause returns the sentinel that callers of the Activity API branch on besides the kind of an error, or nil.
func activityCause(code string) error {
	switch code {
	case "AF20022", // no subscription for the content type
		"AF20023": // the subscription was disabled by an administrator or by Microsoft
		return audit.ErrNotSubscribed
	case "AF20030", "AF20055": // the window is longer than 24 hours, or begins more than 7 days back
		return audit.ErrWindow
	case "AF20031": // nextPage is not valid
		return audit.ErrPage
	case "AF20050", // the content does not exist
		"AF20051", // the content has expired
		"AF20052": // the content id is not valid
		return audit.ErrGone
	}
	return nil
}

// kindOf returns the kind of a code. connection.CauseOf has the table, so that exactly what we call a refusal of the
// tenant is what the connection has a sentence for. AF20024, already subscribed, is Retry: Subscribe treats it as
// success.
func kindOf(code string) (kind error, known bool) {
	c := connection.CauseOf(code)
	if c.Known && c.Class == nil {
		return fault.Retry, true
	}
	return c.Class, c.Known
}

// loginErrorKind returns the kind of OAuth's "error" when we do not know the AADSTS number. Microsoft writes that
// numbers may change and that "error" is what to branch on.
func loginErrorKind(name string) (kind error, known bool) {
	switch name {
	case "temporarily_unavailable", "server_error":
		return fault.Retry, true
	case "invalid_client", "invalid_scope", "unsupported_grant_type":
		return fault.Ours, true
	case "unauthorized_client",
		"invalid_grant",
		"invalid_resource",
		"access_denied",
		"interaction_required",
		"consent_required":
		return fault.Refused, true
	}
	return nil, false
}
