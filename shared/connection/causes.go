package connection

import (
	"strings"

	"github.com/mailtrail/mailtrail/shared/fault"
)

// AuditLogOff is the code for Microsoft's answer when a tenant's unified audit log is off: the answer itself has none.
const AuditLogOff = "AuditLogOff"

// Cause is what an error code of Microsoft means for a connection.
type Cause struct {
	// Class is a sentinel of package fault, or nil when the code tells of a success. Only fault.Refused is the tenant's affair.
	Class error
	// Spreads tells that a consent of the last hour shows itself so until Microsoft's directory knows it everywhere.
	Spreads bool
	// Sentence says what is wrong and Action what to do, both to the tenant's administrator. They are "" unless Class is
	// fault.Refused. NAME stands for the connection's display name.
	Sentence string
	Action   string
}

// Reason is the sentence and the action for a connection.
func (c Cause) Reason(displayName string) string {
	return strings.ReplaceAll(strings.TrimSpace(c.Sentence+" "+c.Action), "NAME", displayName)
}

const byItself = " The connection returns to Monitoring by itself."

const (
	authorizeAgain = "Authorize this connection again with a new link, and consent as a Global Administrator or Privileged Role Administrator." + byItself
	grantConsent   = "In the Microsoft Entra admin center open Enterprise applications, choose the application, then Permissions, and grant admin consent; or authorize this connection again with a new link." + byItself
	enableApp      = "In the Microsoft Entra admin center open Enterprise applications, choose the application, then Properties, and enable it for users to sign in." + byItself
	checkLicence   = "Check in the Microsoft 365 admin center that the subscription is active and holds Exchange Online and auditing." + byItself
	rightCloud     = "Add a new connection and choose the cloud that the tenant lives in."
)

// CauseOf looks up a code: AF codes of the Office 365 Management Activity API ("API error codes" of its reference), AADSTS codes of
// Microsoft's login ("Microsoft Entra authentication and authorization error codes"), AuditLogOff. A code that is not listed is a refusal with
// a general sentence.
func CauseOf(code string) Cause {
	if c, ok := tenantCause(code); ok {
		return c
	}
	switch code {
	case "AF429", "AF50000", // throttled; Microsoft's own failure
		"AF20022", "AF20023", // no subscription, or it was disabled: the poller starts it again
		"AF20031",                                                  // a page that is not valid any more: the listing starts again
		"AADSTS90033", "AADSTS90024", "AADSTS90006", "AADSTS90090", // transient
		"AADSTS50033", "AADSTS90012",
		"AADSTS90055", "AADSTS50196": // throttled
		return Cause{Class: fault.Retry}
	case "AF20050", "AF20051", "AF20052": // this content does not exist, has expired, has no valid id
		return Cause{Class: fault.Poison}
	case "AF20024": // the subscription is enabled already
		return Cause{}
	case "AF20001", "AF20002", "AF20003", "AF20010", "AF20013", "AF20020", "AF20021", // a request that we should not have made
		"AF20030", "AF20053", "AF20054", "AF20055",
		"AADSTS7000215", "AADSTS7000222", // our secret is wrong, or has expired
		"AADSTS700027", "AADSTS700024", "AADSTS50012", "AADSTS50013", "AADSTS50027", // our certificate or assertion
		"AADSTS7000216", "AADSTS7000218", "AADSTS700025", // no credential, or one from a public client
		"AADSTS650051", "AADSTS650057", // our registration asks for what does not exist, or not for what we use
		"AADSTS70011", "AADSTS700022", "AADSTS700023", "AADSTS28002", "AADSTS901002", "AADSTS9001023", // our request
		"AADSTS50194", "AADSTS50011", "AADSTS900971": // our registration: not multi-tenant, or without our redirect address
		return Cause{Class: fault.Ours}
	}
	return Cause{
		Class:    fault.Refused,
		Sentence: "There was an issue with the connection to NAME: Microsoft refused access" + named(code) + ".",
		Action:   "Authorize this connection again with a new link. If that does not help, look at the sign-in logs of the application in the Microsoft Entra admin center.",
	}
}

// named puts a code in parentheses, if it is short enough to be one.
func named(code string) string {
	if code == "" || len(code) > 64 {
		return ""
	}
	return " (" + code + ")"
}

// tenantCause looks up what only the tenant's administrator can mend.
func tenantCause(code string) (Cause, bool) {
	refused := func(sentence, action string) (Cause, bool) {
		return Cause{Class: fault.Refused, Sentence: sentence, Action: action}, true
	}
	spreading := func(sentence, action string) (Cause, bool) {
		return Cause{Class: fault.Refused, Spreads: true, Sentence: sentence, Action: action}, true
	}
	switch code {
	case AuditLogOff, "AF20011":
		return refused("The Microsoft 365 audit log is inaccessible.",
			"Turn auditing on in the Microsoft Purview portal (Audit, Start recording user and admin activity). It can take an hour until Microsoft has done so."+byItself)
	case "AF20012":
		return refused("Microsoft's audit service says that the tenant of NAME is not set up correctly.", "Open a support request with Microsoft.")

	case "AF10001", "AADSTS65001", "AADSTS650056":
		return spreading("The application in the tenant does not have the right permissions.", grantConsent)
	case "AADSTS700016", "AADSTS700011", "AADSTS7000229":
		return spreading("The application has been deleted from the tenant, or was never there.", authorizeAgain)
	case "AADSTS7000112", "AADSTS70001", "AADSTS1000031":
		return refused("The application has been disabled in the tenant.", enableApp)

	case "AADSTS500011":
		return spreading("A service that the connection reads is missing in the tenant: the Office 365 Management APIs or Exchange Online.", checkLicence)
	case "AADSTS50001", "AADSTS500014":
		return refused("A service that the connection reads is disabled in the tenant, or its subscription has lapsed.", checkLicence)
	case "AADSTS650052", "AADSTS650054":
		return refused("The tenant has no subscription to a service that the connection reads.", checkLicence)

	case "AADSTS90002":
		return refused("Microsoft does not know the tenant: it was deleted, or lives in another cloud.", rightCloud)
	case "AADSTS90038", "AADSTS900382", "AADSTS900432":
		return refused("The tenant lives in another of Microsoft's clouds than the connection says.", rightCloud)
	case "AADSTS53003", "AADSTS530032":
		return refused("A Conditional Access policy of the tenant blocks the application.",
			"Exclude the application from policies for workload identities in the Microsoft Entra admin center."+byItself)

	case "AADSTS50020", "PersonalAccount": // at the consent page and at the sign-in
		return refused("The account that signed in belongs to another tenant, or to none.", "Sign in with an administrator's account of the tenant itself.")
	}
	return Cause{}, false
}
