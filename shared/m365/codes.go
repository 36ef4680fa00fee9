package m365

import (
	"github.com/mailtrail/mailtrail/shared/audit"
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
	// BadIDToken: the id_token of a sign-in is not acceptable.
	BadIDToken = "BadIDToken"
	// PersonalAccount: somebody signed in with a personal Microsoft account, which belongs to no tenant.
	PersonalAccount = "PersonalAccount"
)

// activityKind says what an error code of the Office 365 Management Activity API means for us (its reference, "API error
// codes"). cause is the sentinel that callers look for, or nil. Codes that tell of a mistake of our own come back as Retry:
// the tenant is not to blame, and nothing is lost by asking again once we are mended.
func activityKind(code string) (kind, cause error, known bool) {
	switch code {
	case "AF10001", // the token lacks ActivityFeed.Read
		"AF20011", // the tenant does not exist, or was deleted
		"AF20012": // the tenant is configured incorrectly at Microsoft
		return fault.Refused, nil, true
	case "AF20022", // no subscription for the content type
		"AF20023": // the subscription was disabled by an administrator or by Microsoft
		return fault.Retry, audit.ErrNotSubscribed, true
	case "AF20031": // nextPage is not valid
		return fault.Retry, audit.ErrPage, true
	case "AF20050", // the content does not exist
		"AF20051", // the content has expired
		"AF20052": // the content id is not valid
		return fault.Poison, audit.ErrGone, true
	case "AF429", // throttled; comes with status 403 too
		"AF50000", // internal error
		"AF20024", // already subscribed: Subscribe takes it for success
		"AF20030", // start and end of the window break the rules
		"AF20055", // the same, or the start is not before the end
		"AF20001", // a parameter is missing
		"AF20002", // a parameter is of the wrong type
		"AF20003", // a webhook's expiration is in the past
		"AF20010", // the tenant of the URL is not the token's
		"AF20013", // the tenant of the URL is no GUID
		"AF20020", // content type unknown
		"AF20021", // a webhook did not validate
		"AF20053", // Accept-Language has several values
		"AF20054": // Accept-Language cannot be read
		return fault.Retry, nil, true
	}
	return nil, nil, false
}

// loginKind says what an AADSTS number of the token endpoint means for us ("Microsoft Entra authentication and
// authorization error codes").
func loginKind(number int) (kind error, known bool) {
	switch number {
	case 90033, 90024, 90006, 90090, 50033, 90012, // transient
		90055, // throttled
		50196: // we asked for too many tokens
		return fault.Retry, true
	case 700016, 700011, 7000229, // our application is not in the tenant: never consented, or deleted
		7000112, 70001, 1000031, // our application is disabled in the tenant
		65001, 650056, // no consent
		90002,                 // the tenant does not exist
		90038, 900382, 900432, // the tenant lives in another national cloud
		50001, 500011, 500014, // the resource is missing or disabled in the tenant
		650052, 650054, // the tenant is not subscribed to the service
		53003, 530032: // blocked by Conditional Access
		return fault.Refused, true
	case 7000215, 7000222, // secret wrong; secret expired
		700027, 700024, // certificate not registered; assertion outside of its time
		50012, 50013, 50027, // certificate, assertion or JWT not valid
		7000216, 7000218, 700025, // no credential sent; a public client sent one
		650051, 650057, // our registration asks for a permission that does not exist; resource not in it
		70011, 700022, 700023, 28002, 901002, 9001023, // our request is wrong
		50194, 50011, 900971: // our registration is not multi-tenant; its redirect URL is another, or missing
		return fault.Ours, true
	}
	return nil, false
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
