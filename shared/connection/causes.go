package connection

import (
	"strings"

	"github.com/mailtrail/mailtrail/shared/fault"
)

// Our own codes for what Microsoft has no code for.
const (
	// AuditLogOff is Microsoft's answer when a tenant's unified audit log is off.
	AuditLogOff = "AuditLogOff"
	// OtherCloud, with a cloud's name behind it, says that the tenant lives in that cloud and not in the connection's.
	OtherCloud = "OtherCloud."
	// ContentRefused, with Microsoft's code behind it, says that Microsoft lists blobs and refuses to hand them out.
	ContentRefused = "ContentRefused."
	// SubscriptionStuck says that the tenant's subscription to the audit log stays disabled, although it was started, and
	// then stopped and started again.
	SubscriptionStuck = "SubscriptionStuck"
	// GroupsDenied says that the tenant lets us list its users but not the members of its groups.
	GroupsDenied = "GroupsDenied"
)

// About is what a cause concerns.
type About string

// Only a cause that concerns the tenant changes the status of a connection.
const (
	OfTenant  About = "tenant"
	OfMailbox About = "mailbox" // one mailbox or person: the connection is not affected
	OfItem    About = "item"    // one message, attachment or blob: the connection is not affected
)

// Cause is what an error code of Microsoft means.
type Cause struct {
	// Known is false for a code that is not in our table. The other fields then hold what is said about any such code.
	Known bool
	// Class is a sentinel of package fault, or nil when the code means success. Only fault.Refused is the tenant's to
	// mend.
	Class error
	About About
	// Spreads marks codes that also occur in the first hour after a consent, until it has spread through Microsoft's
	// directory.
	Spreads bool
	// Sentence says what is wrong and Action what to do about it; both address the tenant's administrator. They are ""
	// when an administrator cannot do anything. NAME stands for the connection's display name.
	Sentence string
	Action   string
}

// Reason is the sentence and the action for a connection.
func (c Cause) Reason(displayName string) string {
	return strings.ReplaceAll(strings.TrimSpace(c.Sentence+" "+c.Action), "NAME", displayName)
}

// CauseOf looks up a code: AF codes of the Office 365 Management Activity API ("API error codes" of its reference),
// AADSTS codes of Microsoft's login ("Microsoft Entra authentication and authorization error codes"), codes of
// Microsoft Graph ("Microsoft Graph error responses"), and our own. A code that is not in the table is a refusal with a
// general sentence.
func CauseOf(code string) Cause {
	if c, ok := tenantCause(code); ok {
		return c
	}
	if c, ok := graphCause(code); ok {
		return c
	}
	known := Cause{Known: true, About: OfTenant}
	switch code {
	case "429", "AF429", "AF50000", // throttled; Microsoft's own failure
		"AF20022", "AF20023", // no subscription, or it was disabled: the poller starts it again
		"AF20031",                                                  // a page that is no longer valid: it is listed again
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
	case "AF20001",
		"AF20002",
		"AF20003",
		"AF20010",
		"AF20013",
		"AF20020",
		"AF20021", // a request that we should not have made
		"AF20030",
		"AF20053",
		"AF20054",
		"AF20055",
		"AADSTS7000215",
		"AADSTS7000222", // our secret is wrong, or has expired
		"AADSTS700027",
		"AADSTS700024",
		"AADSTS50012",
		"AADSTS50013",
		"AADSTS50027", // our certificate or assertion
		"AADSTS7000216",
		"AADSTS7000218",
		"AADSTS700025", // no credential, or one from a public client
		"AADSTS650051",
		"AADSTS650057", // our registration asks for what does not exist, or not for what we use
		"AADSTS70011",
		"AADSTS700022",
		"AADSTS700023",
		"AADSTS28002",
		"AADSTS901002",
		"AADSTS9001023", // our request
		"AADSTS50194",
		"AADSTS50011",
		"AADSTS900971": // our registration: not multi-tenant, or without our redirect address
		known.Class = fault.Ours
		return known
	}
	return Cause{
		Class:    fault.Refused,
		About:    OfTenant,
		Sentence: "There was an issue with the connection to NAME: Microsoft refused access" + named(code) + ".",
		Action: "Deauthorize the connection and resume it. If that does not help, authorize it again with a " +
			"new link, and look at the " +
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

// graphCause looks up codes of Microsoft Graph: about one mailbox, person, message or attachment, and about our own
// requests. If the application lacks Mail.Read in the whole tenant, the code is ErrorAccessDenied as well: only other
// mailboxes can tell the two cases apart.
func graphCause(code string) (Cause, bool) {
	known := Cause{Known: true, About: OfTenant}
	switch code {
	case "ErrorAccessDenied":
		known.Class, known.About = fault.Refused, OfMailbox
		known.Sentence = "Microsoft denies the application access to this mailbox: " +
			"a policy of the tenant excludes it, or the application lacks Mail.Read."
		known.Action = "In Exchange Online PowerShell run Test-ServicePrincipalAuthorization (role-based access for " +
			"applications) or Test-ApplicationAccessPolicy for the mailbox, and add it to the scope."
	case "MailboxNotEnabledForRESTAPI",
		"ErrorInvalidUser",
		"ResourceNotFound",
		"Request_ResourceNotFound",
		"ErrorNonExistentMailbox":
		known.Class, known.About = fault.Poison, OfMailbox
		known.Sentence = "There is no such mailbox in Exchange Online: it was deleted, has no licence, or lies in an " +
			"Exchange of the company's own."
		known.Action = "Nothing needs to be done if that is intended. Otherwise give the person an Exchange Online " +
			"licence, or move the mailbox."
	case "extensionError":
		known.Class, known.About = fault.Poison, OfMailbox
		known.Sentence = "Microsoft Graph does not reach this mailbox: " +
			"it lies in an on-premises Exchange, or a policy blocks it."
		known.Action = "Move the mailbox to Exchange Online, or add it to the scope of the policy."
	case "ErrorItemNotFound", "itemNotFound":
		known.Class, known.About = fault.Poison, OfItem
		known.Sentence = "The message or attachment is not there: it was deleted, moved, or not saved."
		known.Action = "Nothing can be done about it. What the audit log said about the mail is kept."
	case "resyncRequired", "ResyncRequired", "syncStateNotFound", "SyncStateNotFound", "SyncStateInvalid":
		known.Class, known.About = fault.Poison, OfItem // a delta link that has ended: the listing starts again
	case "InvalidAuthenticationToken", // of a token that lived too long on its way; a fresh one was tried
		"TooManyRequests", "activityLimitReached", "ApplicationThrottled", // throttled
		"ErrorMailboxStoreUnavailable", "ErrorMailboxMoveInProgress", "ErrorServerBusy", "ErrorTimeoutExpired",
		"serviceNotAvailable", "ServiceUnavailable", "generalException", "InternalServerError", "UnknownError", "timeout":
		known.Class = fault.Retry
	case "InefficientFilter",
		"RequestBroker--ParseUri",
		"BadRequest",
		"Request_BadRequest",
		"Request_UnsupportedQuery",
		"ErrorInvalidRequest",
		"invalidRequest":
		known.Class = fault.Ours
	default:
		return Cause{}, false
	}
	return known, true
}

// What an administrator of the tenant can do.
const (
	byItself = " The connection returns to Monitoring by itself."

	waits = "Until then mail whose sender cannot be checked waits. " +
		"It is read afterwards, unless this takes longer than the 7 days for which Microsoft keeps it."

	turnAuditOn = "Turn auditing on in the Microsoft Purview portal (Audit, Start recording user and admin activity). " +
		"This can take an hour to take effect." + byItself

	toApplications = "Sign in to the Microsoft Entra admin center (entra.microsoft.com), open Enterprise applications, " +
		"set Application type to All applications, and look for the application by the name that the consent showed. "
	grantConsent = toApplications + "If it is there, choose it, then Permissions, and grant admin consent. If it is " +
		"not there, it was deleted: authorize this connection again with a new link." + byItself
	authorizeAgain = toApplications + "If it is not there, authorize this connection again with a new link, and " +
		"consent as a Global Administrator or Privileged Role Administrator. If it is there, choose it, then Permissions, " +
		"and grant admin consent." + byItself
	enableApp = toApplications + "Choose it, then Properties, and set Enabled for users to sign-in to Yes." + byItself

	checkLicence = "Check in the Microsoft 365 admin center that the subscription is active and holds " +
		"Exchange Online and auditing." + byItself
	rightCloud = "Deauthorize this connection, and add a new one with the cloud that the tenant lives in."
)

// tenantCause looks up the codes whose cause only the tenant's administrator can mend.
func tenantCause(code string) (Cause, bool) {
	refused := func(sentence, action string) (Cause, bool) {
		return Cause{Known: true, Class: fault.Refused, About: OfTenant, Sentence: sentence, Action: action}, true
	}
	spreading := func(sentence, action string) (Cause, bool) {
		return Cause{
			Known:    true,
			Class:    fault.Refused,
			About:    OfTenant,
			Spreads:  true,
			Sentence: sentence,
			Action:   action,
		}, true
	}
	if name, ok := strings.CutPrefix(code, OtherCloud); ok {
		if cloud, err := ParseCloud(name); err == nil {
			return refused(
				"The tenant lives in the cloud "+cloud.Title()+", and this connection looks for it in another one.",
				"Deauthorize this connection, and add a new one with the cloud "+string(cloud)+".",
			)
		}
	}
	if answer, ok := strings.CutPrefix(code, ContentRefused); ok {
		return refused(
			"Microsoft lists the content of the tenant's audit log, but refuses to hand it out"+named(answer)+".",
			"We keep asking until Microsoft deletes it, 7 days after it was listed. "+
				"If this lasts for more than a few hours, check "+
				"that the tenant id and the cloud of this connection are those of the tenant (Microsoft Entra admin center, "+
				"Overview). If they are not, deauthorize this connection and add a new one; if they are, open a support request "+
				"with Microsoft."+byItself,
		)
	}
	switch code {
	case AuditLogOff, "AF20011":
		return refused("The Microsoft 365 audit log is inaccessible.", turnAuditOn)
	case "AF20012":
		return refused(
			"Microsoft's audit service says that the tenant of NAME is not set up correctly.",
			"Open a support request with Microsoft, "+
				"and mention error AF20012 of the Office 365 Management Activity API."+byItself,
		)

	case SubscriptionStuck:
		return refused("Microsoft keeps our subscription to the tenant's audit log disabled, although we started it again.",
			"Wait an hour, for this may pass. Then deauthorize this connection, wait 15 minutes, and resume it. If that does "+
				"not help, open a support request with Microsoft, and mention error AF20023 of the Office 365 Management "+
				"Activity API for Audit.Exchange."+byItself)
	case "AF10001", "AADSTS65001", "AADSTS650056", "accessDenied":
		return spreading("The application in the tenant does not have the right permissions.", grantConsent)
	case "Authorization_RequestDenied":
		return spreading(
			"The application in the tenant does not have the right permissions: "+
				"without User.Read.All we cannot tell whose mail is to be recorded. "+waits,
			grantConsent,
		)
	case GroupsDenied:
		return spreading(
			"The application in the tenant does not have the right permissions: "+
				"without GroupMember.Read.All we cannot tell who is in the groups of the scope. "+waits,
			grantConsent+" Or choose another scope.",
		)
	case "AADSTS700016", "AADSTS700011", "AADSTS7000229":
		return spreading("The application has been deleted from the tenant, or was never there.", authorizeAgain)
	case "AADSTS7000112", "AADSTS70001", "AADSTS1000031":
		return refused("The application has been disabled in the tenant.", enableApp)

	case "AADSTS500011":
		return spreading(
			"A service that the connection reads is missing in the tenant: the Office 365 Management APIs or Exchange Online.",
			checkLicence,
		)
	case "AADSTS50001", "AADSTS500014":
		return refused(
			"A service that the connection reads is disabled in the tenant, or its subscription has lapsed.",
			checkLicence,
		)
	case "AADSTS650052", "AADSTS650054":
		return refused("The tenant has no subscription to a service that the connection reads.", checkLicence)

	case "AADSTS90002":
		return refused("Microsoft does not know the tenant: it was deleted, or lives in another cloud.", rightCloud)
	case "AADSTS90038", "AADSTS900382", "AADSTS900432":
		return refused("The tenant lives in a different Microsoft cloud from the one that the connection names.", rightCloud)
	case "AADSTS53003", "AADSTS530032":
		return refused(
			"A Conditional Access policy of the tenant blocks the application.",
			"Exclude the application from policies for workload identities in the Microsoft Entra admin center "+
				"(Protection, Conditional Access)."+byItself,
		)

	case "AADSTS50020", "PersonalAccount": // at the consent page and at the sign-in
		return refused(
			"The account that signed in belongs to another tenant, or to none.",
			"Sign in with an administrator's account of the tenant itself.",
		)
	}
	return Cause{}, false
}
