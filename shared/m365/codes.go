package m365

import (
	"github.com/mailtrail/mailtrail/shared/audit"
	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
)

// Codes that we give to what Microsoft has no code for, beside connection.AuditLogOff.
const (
	// ForeignURI: a URI that Microsoft's answer held points outside of the tenant's cloud. No token was sent to it.
	ForeignURI = "ForeignURI"
	// Redirect: the answer was a redirect, which is never followed.
	Redirect = "Redirect"
	// Unreadable: the answer had a good status, and was not what the API answers: a proxy's page, cut or oversized JSON.
	Unreadable = "Unreadable"
	// NotPermitted: Graph forbids a call for which the token does not carry the permission.
	NotPermitted = "NotPermitted"
	// BadIDToken: the id_token of a sign-in is not acceptable.
	BadIDToken = "BadIDToken"
	// PersonalAccount: somebody signed in with a personal Microsoft account, which belongs to no tenant.
	PersonalAccount = "PersonalAccount"
)

// activityCause is the sentinel that callers of the Activity API look for besides the kind of an error, or nil.
func activityCause(code string) error {
	switch code {
	case "AF20022", // no subscription for the content type
		"AF20023": // the subscription was disabled by an administrator or by Microsoft
		return audit.ErrNotSubscribed
	case "AF20031": // nextPage is not valid
		return audit.ErrPage
	case "AF20050", // the content does not exist
		"AF20051", // the content has expired
		"AF20052": // the content id is not valid
		return audit.ErrGone
	}
	return nil
}

// kindOf says what a code means for us. connection.CauseOf has the table, so that what we call the tenant's refusal is what the connection has
// a sentence for. AF20024, already subscribed, comes back as Retry: Subscribe takes it for success.
func kindOf(code string) (kind error, known bool) {
	c := connection.CauseOf(code)
	if c.Known && c.Class == nil {
		return fault.Retry, true
	}
	return c.Class, c.Known
}

// loginErrorKind says what OAuth's "error" means when the AADSTS number says nothing to us: numbers may change, Microsoft
// writes, and "error" is what to branch on.
func loginErrorKind(name string) (kind error, known bool) {
	switch name {
	case "temporarily_unavailable", "server_error":
		return fault.Retry, true
	case "invalid_client", "invalid_scope", "unsupported_grant_type":
		return fault.Ours, true
	case "unauthorized_client", "invalid_grant", "invalid_resource", "access_denied", "interaction_required", "consent_required":
		return fault.Refused, true
	}
	return nil, false
}
