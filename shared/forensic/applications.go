package forensic

import "strings"

// exchangeOnline is the application id of Exchange Online, the service of nearly all mail that people send.
const exchangeOnline = "00000002-0000-0ff1-ce00-000000000000"

// ApplicationName is the name of one of Microsoft's own well-known applications, "" for any other. Names of a tenant's
// applications are only in its directory, which we do not ask permission to read.
func ApplicationName(id string) string {
	switch strings.ToLower(id) {
	case exchangeOnline:
		return "Office 365 Exchange Online"
	case "00000003-0000-0000-c000-000000000000":
		return "Microsoft Graph"
	case "00000003-0000-0ff1-ce00-000000000000":
		return "Office 365 SharePoint Online"
	case "00000006-0000-0ff1-ce00-000000000000":
		return "Microsoft Office 365 Portal"
	case "00000007-0000-0000-c000-000000000000":
		return "Dataverse"
	case "9199bf20-a13f-4107-85dc-02114787ef48":
		return "One Outlook Web"
	case "5d661950-3475-41cd-a2c3-d671a3162bc1":
		return "Microsoft Outlook"
	case "27922004-5251-4030-b22d-91ecd9a37ea4":
		return "Outlook Mobile"
	case "d3590ed6-52b3-4102-aeff-aad2292ab01c":
		return "Microsoft Office"
	case "1fec8e78-bce4-4aaf-ab1b-5451cc387264":
		return "Microsoft Teams"
	case "5e3ce6c0-2b1f-4285-8d4b-75ee78787346":
		return "Microsoft Teams Web Client"
	case "cc15fd57-2c6c-4117-a88c-83b1d56b4bbe":
		return "Microsoft Teams Services"
	case "4765445b-32c6-49b0-83e6-1d93765276ca":
		return "OfficeHome"
	case "7df0a125-d3be-4c96-aa54-591f83ff541c":
		return "Microsoft Flow Service"
	case "475226c6-020e-4fb2-8a90-7a972cbfc1d4":
		return "PowerApps Service"
	case "c9a559d2-7aab-4f13-a6ed-e7e9c52aec87":
		return "Microsoft Forms"
	case "b26aadf8-566f-4478-926f-589f601d9c74":
		return "OneDrive"
	case "ab9b8c07-8f02-4f72-87fa-80105867a763":
		return "OneDrive SyncEngine"
	case sharingApp:
		return "SharePoint Notification Service"
	case "0e90d0b8-039a-4936-a6f4-d25dd510be5d":
		return "Message Recall"
	case "14d82eec-204b-4c2f-b7e8-296a70dab67e":
		return "Microsoft Graph Command Line Tools"
	case "de8bc8b5-d9f9-48b1-a8ad-b748da725064":
		return "Graph Explorer"
	case "04b07795-8ddb-461a-bbee-02f9e1bf7b46":
		return "Microsoft Azure CLI"
	case "1950a258-227b-4e31-a9cf-717495945fc2":
		return "Microsoft Azure PowerShell"
	case "1b730954-1685-4b74-9bfd-dac224a7b894":
		return "Azure Active Directory PowerShell"
	case "fb78d390-0c51-40cd-8e17-fdbfab77341b":
		return "Microsoft Exchange REST API Based Powershell"
	case "a0c73c16-a7e3-4564-9a95-2bdf47383716":
		return "Microsoft Exchange Online Remote PowerShell"
	case "497effe9-df71-4043-a8bb-14cf78c4b63b":
		return "Exchange Admin Center"
	case "00b41c95-dab0-4487-9791-b9d2c32c80f2":
		return "Office 365 Management"
	}
	return ""
}
