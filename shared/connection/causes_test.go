package connection_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
)

// Every code that Microsoft documents, by what it means to us.
const (
	refusedCodes = `AF10001 AF20011 AF20012 AuditLogOff
		AADSTS700016 AADSTS700011 AADSTS7000229 AADSTS7000112 AADSTS70001 AADSTS1000031 AADSTS65001 AADSTS650056
		AADSTS90002 AADSTS90038 AADSTS900382 AADSTS900432 AADSTS50001 AADSTS500011 AADSTS500014
		AADSTS650052 AADSTS650054 AADSTS53003 AADSTS530032 AADSTS50020 PersonalAccount`
	retryCodes = `AF20022 AF20023 AF20031 AF429 AF50000
		AADSTS90033 AADSTS90024 AADSTS90006 AADSTS90090 AADSTS50033 AADSTS90012 AADSTS90055 AADSTS50196`
	poisonCodes = `AF20050 AF20051 AF20052`
	ourCodes    = `AF20001 AF20002 AF20003 AF20010 AF20013 AF20020 AF20021 AF20030 AF20053 AF20054 AF20055
		AADSTS7000215 AADSTS7000222 AADSTS700027 AADSTS700024 AADSTS50012 AADSTS50013 AADSTS50027
		AADSTS7000216 AADSTS7000218 AADSTS700025 AADSTS650051 AADSTS650057
		AADSTS70011 AADSTS700022 AADSTS700023 AADSTS28002 AADSTS901002 AADSTS9001023 AADSTS50194 AADSTS50011 AADSTS900971`
	spreadingCodes = `AF10001 AADSTS65001 AADSTS650056 AADSTS700016 AADSTS700011 AADSTS7000229 AADSTS500011`
)

func TestEveryCodeHasACause(t *testing.T) {
	general := connection.CauseOf("AADSTS1")
	for class, codes := range map[error]string{fault.Refused: refusedCodes, fault.Retry: retryCodes, fault.Poison: poisonCodes, fault.Ours: ourCodes} {
		for _, code := range strings.Fields(codes) {
			c := connection.CauseOf(code)
			if !errors.Is(c.Class, class) {
				t.Errorf("%s is %v, want %v", code, c.Class, class)
			}
			if spreads := strings.Contains(" "+strings.Join(strings.Fields(spreadingCodes), " ")+" ", " "+code+" "); c.Spreads != spreads {
				t.Errorf("%s spreads: %t, want %t", code, c.Spreads, spreads)
			}
			if refused := class == fault.Refused; refused != (c.Sentence != "") || refused != (c.Action != "") {
				t.Errorf("%s: sentence %q, action %q", code, c.Sentence, c.Action)
			}
			if c.Sentence == general.Sentence && class == fault.Refused {
				t.Errorf("%s has the general sentence", code)
			}
		}
	}
	if c := connection.CauseOf("AF20024"); c != (connection.Cause{}) {
		t.Errorf("already subscribed is no failure, and is %+v", c)
	}
}

func TestReasonsSpeakOfTheConnection(t *testing.T) {
	for code, want := range map[string]string{
		"AuditLogOff": "The Microsoft 365 audit log is inaccessible. Turn auditing on in the Microsoft Purview portal (Audit, Start recording user and admin activity). It can take an hour until Microsoft has done so. The connection returns to Monitoring by itself.",
		"":            "There was an issue with the connection to NAME & Co: Microsoft refused access. Authorize this connection again with a new link. If that does not help, look at the sign-in logs of the application in the Microsoft Entra admin center.",
		"Redirect":    "There was an issue with the connection to NAME & Co: Microsoft refused access (Redirect). Authorize this connection again with a new link. If that does not help, look at the sign-in logs of the application in the Microsoft Entra admin center.",
	} {
		if got := connection.CauseOf(code).Reason("NAME & Co"); got != want {
			t.Errorf("%q:\n%s\nwant\n%s", code, got, want)
		}
	}
}
