package connection

import (
	"strings"

	"github.com/mailtrail/mailtrail/shared/fault"
)

// Codes that we give to what Microsoft has no code for.
const (
	// AuditLogOff is Microsoft's answer when a tenant's unified audit log is off.
	AuditLogOff = "AuditLogOff"
	// OtherCloud, with a cloud's name behind it, says that the tenant lives in that cloud and not in the connection's.
	OtherCloud = "OtherCloud."
	// GroupsDenied says that the tenant tells who is in it, and not who is in its groups.
	GroupsDenied = "GroupsDenied"
)

// About is what a cause is about.
type About string

// Only what is about the tenant changes the status of a connection.
const (
	OfTenant  About = "tenant"
	OfMailbox About = "mailbox" // one mailbox or person: the connection goes on
	OfItem    About = "item"    // one message, attachment or blob: the connection goes on
)

// Cause is what an error code of Microsoft means.
type Cause struct {
	// Known is false for a code that nobody has told us about; the rest is then what is said of such a code.
	Known bool
	// Class is a sentinel of package fault, or nil when the code tells of a success. Only fault.Refused is the tenant's affair.
	Class error
	About About
	// Spreads tells that a consent of the last hour shows itself so until Microsoft's directory knows it everywhere.
	Spreads bool
	// Sentence says what is wrong and Action what to do, both to the tenant's administrator. They are "" when there is nothing that a
	// tenant's administrator could do. NAME stands for the connection's display name.
	Sentence string
	Action   string
}

// Reason is the sentence and the action for a connection.
func (c Cause) Reason(displayName string) string {
	return strings.ReplaceAll(strings.TrimSpace(c.Sentence+" "+c.Action), "NAME", displayName)
}

// CauseOf looks up a code: AF codes of the Office 365 Management Activity API ("API error codes" of its reference), AADSTS codes of
// Microsoft's login ("Microsoft Entra authentication and authorization error codes"), codes of Microsoft Graph ("Microsoft Graph error
// responses"), and our own. A code that is not listed is a refusal with a general sentence.
func CauseOf(code string) Cause {
	if c, ok := tenantCause(code); ok {
		return c
	}
	if c, ok := graphCause(code); ok {
		return c
	}
	known := Cause{Known: true, About: OfTenant}
	switch code {
	case "AF429", "AF50000", // throttled; Microsoft's own failure
		"AF20022", "AF20023", // no subscription, or it was disabled: the poller starts it again
		"AF20031",                                                  // a page that is not valid any more: the listing starts again
		"AADSTS90033", "AADSTS90024", "AADSTS90006", "AADSTS90090", // transient
		"AADSTS50033", "AADSTS90012",
		"AADSTS90055", "AADSTS50196": // throttled
		known.Class = fault.Retry
		return known
	case "AF20050", "AF20051", "AF20052": // this content does not exist, has expired, has no valid id
		known.Class, known.About = fault.Poison, OfItem
		return known
	case "AF20024": // the subscription is enabled already
		return known
	case "AF20001", "AF20002", "AF20003", "AF20010", "AF20013", "AF20020", "AF20021", // a request that we should not have made
		"AF20030", "AF20053", "AF20054", "AF20055",
		"AADSTS7000215", "AADSTS7000222", // our secret is wrong, or has expired
		"AADSTS700027", "AADSTS700024", "AADSTS50012", "AADSTS50013", "AADSTS50027", // our certificate or assertion
		"AADSTS7000216", "AADSTS7000218", "AADSTS700025", // no credential, or one from a public client
		"AADSTS650051", "AADSTS650057", // our registration asks for what does not exist, or not for what we use
		"AADSTS70011", "AADSTS700022", "AADSTS700023", "AADSTS28002", "AADSTS901002", "AADSTS9001023", // our request
		"AADSTS50194", "AADSTS50011", "AADSTS900971": // our registration: not multi-tenant, or without our redirect address
		known.Class = fault.Ours
		return known
	}
	return Cause{
		Class:    fault.Refused,
		About:    OfTenant,
		Sentence: "There was an issue with the connection to NAME: Microsoft refused access" + named(code) + ".",
		Action: "Deauthorize the connection and resume it. If that does not help, authorize it again with a new link, and look at the " +
			"service principal sign-ins of the application in the Microsoft Entra admin center.",
	}
}

// named puts a code in parentheses, if it is short enough to be one.
func named(code string) string {
	if code == "" || len(code) > 64 {
		return ""
	}
	return " (" + code + ")"
}

// graphCause looks up what Microsoft Graph says of one mailbox, person, message or attachment, and of our own requests. That the application lacks
// Mail.Read in the whole tenant shows itself as ErrorAccessDenied too: nothing but other mailboxes tells the two apart.
func graphCause(code string) (Cause, bool) {
	known := Cause{Known: true, About: OfTenant}
	switch code {
	case "ErrorAccessDenied":
		known.Class, known.About = fault.Refused, OfMailbox
		known.Sentence = "Microsoft keeps the application out of this mailbox: a policy of the tenant excludes it, or the application lacks Mail.Read."
		known.Action = "In Exchange Online PowerShell run Test-ServicePrincipalAuthorization (role-based access for applications) or Test-ApplicationAccessPolicy for the mailbox, and add it to the scope."
	case "MailboxNotEnabledForRESTAPI", "ErrorInvalidUser", "ResourceNotFound", "Request_ResourceNotFound", "ErrorNonExistentMailbox":
		known.Class, known.About = fault.Poison, OfMailbox
		known.Sentence = "There is no such mailbox in Exchange Online: it was deleted, has no licence, or lies in an Exchange of the company's own."
		known.Action = "Nothing needs to be done if that is meant. Else give the person an Exchange Online licence, or move the mailbox."
	case "extensionError":
		known.Class, known.About = fault.Poison, OfMailbox
		known.Sentence = "Microsoft Graph does not reach this mailbox: it lies in an Exchange of the company's own, or a policy stands before it."
		known.Action = "Move the mailbox to Exchange Online, or add it to the scope of the policy."
	case "ErrorItemNotFound", "itemNotFound":
		known.Class, known.About = fault.Poison, OfItem
		known.Sentence = "The message or attachment is not there: it was deleted, moved, or not saved."
		known.Action = "Nothing can be done about it: what the audit log said of it is kept."
	case "resyncRequired", "ResyncRequired", "syncStateNotFound", "SyncStateNotFound", "SyncStateInvalid":
		known.Class, known.About = fault.Poison, OfItem // a delta link that has ended: the listing starts again
	case "InvalidAuthenticationToken", // of a token that lived too long on its way; a fresh one was tried
		"TooManyRequests", "activityLimitReached", "ApplicationThrottled", // throttled
		"ErrorMailboxStoreUnavailable", "ErrorMailboxMoveInProgress", "ErrorServerBusy", "ErrorTimeoutExpired",
		"serviceNotAvailable", "ServiceUnavailable", "generalException", "InternalServerError", "UnknownError", "timeout":
		known.Class = fault.Retry
	case "InefficientFilter", "RequestBroker--ParseUri", "BadRequest", "Request_BadRequest", "Request_UnsupportedQuery", "ErrorInvalidRequest", "invalidRequest":
		known.Class = fault.Ours
	default:
		return Cause{}, false
	}
	return known, true
}
