package connection

import (
	"strings"

	"github.com/mailtrail/mailtrail/shared/fault"
)

// What an administrator of the tenant can do.
const (
	byItself = " The connection returns to Monitoring by itself."

	waits = "Mail that cannot be judged waits meanwhile, and is read afterwards, unless it takes longer than the 7 days for which Microsoft keeps it."

	turnAuditOn = "Turn auditing on in the Microsoft Purview portal (Audit, Start recording user and admin activity). It can take an hour until Microsoft has done so." + byItself

	toApplications = "Sign in to the Microsoft Entra admin center (entra.microsoft.com), open Enterprise applications, set Application type to All applications, and look for the application by the name that the consent showed. "
	grantConsent   = toApplications + "If it is there, choose it, then Permissions, and grant admin consent. If it is not there, it was deleted: authorize this connection again with a new link." + byItself
	authorizeAgain = toApplications + "If it is not there, authorize this connection again with a new link, and consent as a Global Administrator or Privileged Role Administrator. If it is there, choose it, then Permissions, and grant admin consent." + byItself
	enableApp      = toApplications + "Choose it, then Properties, and set Enabled for users to sign-in to Yes." + byItself

	checkLicence = "Check in the Microsoft 365 admin center that the subscription is active and holds Exchange Online and auditing." + byItself
	rightCloud   = "Deauthorize this connection, and add a new one with the cloud that the tenant lives in."
)

// tenantCause looks up what only the tenant's administrator can mend.
func tenantCause(code string) (Cause, bool) {
	refused := func(sentence, action string) (Cause, bool) {
		return Cause{Known: true, Class: fault.Refused, About: OfTenant, Sentence: sentence, Action: action}, true
	}
	spreading := func(sentence, action string) (Cause, bool) {
		return Cause{Known: true, Class: fault.Refused, About: OfTenant, Spreads: true, Sentence: sentence, Action: action}, true
	}
	if name, ok := strings.CutPrefix(code, OtherCloud); ok {
		if cloud, err := ParseCloud(name); err == nil {
			return refused("The tenant lives in the cloud "+cloud.Title()+", and this connection looks for it in another one.",
				"Deauthorize this connection, and add a new one with the cloud "+string(cloud)+".")
		}
	}
	switch code {
	case AuditLogOff, "AF20011":
		return refused("The Microsoft 365 audit log is inaccessible.", turnAuditOn)
	case "AF20012":
		return refused("Microsoft's audit service says that the tenant of NAME is not set up correctly.", "Open a support request with Microsoft, and name error AF20012 of the Office 365 Management Activity API."+byItself)

	case "AF10001", "AADSTS65001", "AADSTS650056", "accessDenied":
		return spreading("The application in the tenant does not have the right permissions.", grantConsent)
	case "Authorization_RequestDenied":
		return spreading("The application in the tenant does not have the right permissions: without User.Read.All nobody can say whose mail is to be recorded. "+waits, grantConsent)
	case GroupsDenied:
		return spreading("The application in the tenant does not have the right permissions: without GroupMember.Read.All nobody can say who is in the groups of the scope. "+waits,
			grantConsent+" Or choose another scope.")
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
			"Exclude the application from policies for workload identities in the Microsoft Entra admin center (Protection, Conditional Access)."+byItself)

	case "AADSTS50020", "PersonalAccount": // at the consent page and at the sign-in
		return refused("The account that signed in belongs to another tenant, or to none.", "Sign in with an administrator's account of the tenant itself.")
	}
	return Cause{}, false
}
