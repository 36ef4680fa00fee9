package forensic

import "testing"

func TestReachOf(t *testing.T) {
	own := []string{"fernhill.example", "fernhill.onmicrosoft.com", "gmx.de"}
	for address, want := range map[string]Reach{
		"ada@fernhill.example":            Internal,
		"ADA@Fernhill.Example":            Internal,
		"All staff":                       Internal,
		"ada@mail.fernhill.example":       External,
		"ada@fernhill.example.evil.test":  External,
		"out@partner.example":             External,
		"drop@gmail.com":                  Webmail,
		"Drop.Box@GMAIL.com":              Webmail,
		"x@yahoo.co.uk":                   Webmail,
		"x@hotmail.fr":                    Webmail,
		"x@outlook.com.br":                Webmail,
		"x@yahoo-inc.com":                 External,
		"x@live.nation.example":           External,
		"x@gmx.de":                        Internal, // the company is that house
		"\"odd@fernhill.example\"@qq.com": Webmail,
		"x@":                              Internal,
		"":                                Internal,
	} {
		if got := ReachOf(address, own); got != want {
			t.Errorf("%q is %s, want %s", address, got, want)
		}
	}
}
