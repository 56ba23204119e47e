// A service in Go behind a proxy of deploy/. It knows nothing of tokens, keys or
// revocation: who calls stands in a header, which only the proxy can have set.
//
//	PORT=8080 go run service.go
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"strings"
)

func serve(response http.ResponseWriter, request *http.Request) {
	// Percent-encoded where a name is more than plain ASCII; absent on public paths.
	// All fields of the name: were there two, the log would show both.
	subject := strings.Join(request.Header.Values("X-Auth-Subject"), ", ")
	caller, err := url.PathUnescape(subject)
	if err != nil {
		http.Error(response, "x-auth-subject is not percent-encoded", http.StatusBadRequest)
		return
	}
	if caller == "" {
		caller = "nobody"
	}

	fmt.Println(request.Method, request.URL, caller)
	response.Header().Set("Content-Type", "application/json")
	json.NewEncoder(response).Encode(map[string]string{"caller": caller})
}

func main() {
	// Where only the proxy reaches it: whoever gets here directly could claim any name.
	address := "127.0.0.1:" + os.Getenv("PORT")
	log.Fatal(http.ListenAndServe(address, http.HandlerFunc(serve)))
}
