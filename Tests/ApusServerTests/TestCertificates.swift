/// Certificates and keys for tests, good for a hundred years and for nothing else: a root that signed `server` and
/// `alice`, and another that signed `later`. Made with openssl (EC P-256).
enum TestCertificates {
    static let root = """
        -----BEGIN CERTIFICATE-----
        MIIBsDCCAVWgAwIBAgIUPT8qdD4N9BvJPaOki5hMGb3tSZUwCgYIKoZIzj0EAwIw
        JDETMBEGA1UECgwKQXB1cyB0ZXN0czENMAsGA1UEAwwEcm9vdDAgFw0yNjExMjEx
        MjAyMDBaGA8yMTI2MTAyODEyMDIwMFowJDETMBEGA1UECgwKQXB1cyB0ZXN0czEN
        MAsGA1UEAwwEcm9vdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABEPUXFUjRDru
        yucFeq/c5Xo1ST3eKuzJ/I1p7giXeJX9Pq88RK5OZ1kqLIl4fEarzbmhbQZtfRBp
        Z9PKhzNcQC6jYzBhMB0GA1UdDgQWBBRsP0uj86oTtauQqPrJ1UaGKRMF9jAfBgNV
        HSMEGDAWgBRsP0uj86oTtauQqPrJ1UaGKRMF9jAPBgNVHRMBAf8EBTADAQH/MA4G
        A1UdDwEB/wQEAwIBBjAKBggqhkjOPQQDAgNJADBGAiEArVRnIIvRbQNcf1HILtEr
        I8nrEl+gRRaEsY80e2NHDkACIQDUBV2DkpCJ0ioxQIlNLGNKiB4HrRQRNLHMHPuI
        +G8xXw==
        -----END CERTIFICATE-----
        """

    static let other = """
        -----BEGIN CERTIFICATE-----
        MIIBsTCCAVegAwIBAgIUUjDlvIu5BVG/LZ36pSY8dMHw03YwCgYIKoZIzj0EAwIw
        JTETMBEGA1UECgwKQXB1cyB0ZXN0czEOMAwGA1UEAwwFb3RoZXIwIBcNMjYxMTIx
        MTIwMjAwWhgPMjEyNjEwMjgxMjAyMDBaMCUxEzARBgNVBAoMCkFwdXMgdGVzdHMx
        DjAMBgNVBAMMBW90aGVyMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE9VU59nCl
        dVpDNwEw9NmMFNL0skxFMltd2kIMyFievVEaNR60e5B07KwnKejQoX8h+khX7Jfm
        tCDFp/1Nd8pb16NjMGEwHQYDVR0OBBYEFNsWHPQvJUfDIttNXmEq1j+CQ617MB8G
        A1UdIwQYMBaAFNsWHPQvJUfDIttNXmEq1j+CQ617MA8GA1UdEwEB/wQFMAMBAf8w
        DgYDVR0PAQH/BAQDAgEGMAoGCCqGSM49BAMCA0gAMEUCIEuWZsyBT5bW926kjrHj
        ZhkChAW7P9KitvR23ksJ7/3/AiEAlX5C3R++rWkE+GmY1lXjG7joqunTOcVRGzCE
        sw9l090=
        -----END CERTIFICATE-----
        """

    static let server = """
        -----BEGIN CERTIFICATE-----
        MIIBuDCCAV2gAwIBAgIUcj16ev0w9PxXcRVNLJguMqOz5/EwCgYIKoZIzj0EAwIw
        JDETMBEGA1UECgwKQXB1cyB0ZXN0czENMAsGA1UEAwwEcm9vdDAgFw0yNjExMjEx
        MjAyMDFaGA8yMTI2MTAyODEyMDIwMVowJjETMBEGA1UECgwKQXB1cyB0ZXN0czEP
        MA0GA1UEAwwGc2VydmVyMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEFlvokZLn
        m14atvFgBdSAXOo1wn5nwtrT3bwgbGFNqcDvQR4hb6zuT6Kl4QywVRJdQBIVfZHi
        avKXDUQgc948UaNpMGcwCQYDVR0TBAIwADAaBgNVHREEEzARhwR/AAABgglsb2Nh
        bGhvc3QwHQYDVR0OBBYEFNt+ThaPFVol6TtkJMOtXwkmnwpMMB8GA1UdIwQYMBaA
        FGw/S6PzqhO1q5Co+snVRoYpEwX2MAoGCCqGSM49BAMCA0kAMEYCIQCronuQbqox
        SjDoDulx8zB8VfWMEihIlax65DvoWpEIRwIhAJKJxfUXYsf3NKY5EvY5Kb5fyTxH
        Uovav4zH80oJrtZ2
        -----END CERTIFICATE-----
        """

    static let serverKey = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgE8vnwv3H9zfWws5N
        xo3+4XH89QHUnSJD7AP8Fw5bIAahRANCAAQWW+iRkuebXhq28WAF1IBc6jXCfmfC
        2tPdvCBsYU2pwO9BHiFvrO5PoqXhDLBVEl1AEhV9keJq8pcNRCBz3jxR
        -----END PRIVATE KEY-----
        """

    static let later = """
        -----BEGIN CERTIFICATE-----
        MIIBuDCCAV2gAwIBAgIUCmXMeDcGrStY6x0GtjL4EhC/ulkwCgYIKoZIzj0EAwIw
        JTETMBEGA1UECgwKQXB1cyB0ZXN0czEOMAwGA1UEAwwFb3RoZXIwIBcNMjYxMTIx
        MTIwMjAxWhgPMjEyNjEwMjgxMjAyMDFaMCUxEzARBgNVBAoMCkFwdXMgdGVzdHMx
        DjAMBgNVBAMMBWxhdGVyMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAExweov5Rn
        x4c1gufMA0kSIhYBUtHo2+kQ8rjuXxihaksqc0PUOm06y4yGqwzpgRFhiSGQP4N1
        XxZgzoxwNd4nRaNpMGcwCQYDVR0TBAIwADAaBgNVHREEEzARhwR/AAABgglsb2Nh
        bGhvc3QwHQYDVR0OBBYEFOo+PZNJdkwNNjc2DdhrU0XEr8f8MB8GA1UdIwQYMBaA
        FNsWHPQvJUfDIttNXmEq1j+CQ617MAoGCCqGSM49BAMCA0kAMEYCIQDJHebys3L/
        oO1cPlxo+kGFAUvHGI1GYn/MutG4f4XmawIhAKUuNiBv8iL0UDZagbxTcPrviVZV
        2yAjsBuActcSEABI
        -----END CERTIFICATE-----
        """

    static let laterKey = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgS9ZOFsMCY4qK0a/n
        wIyHvtyoRveKYvCEZkevFYxUpryhRANCAATHB6i/lGfHhzWC58wDSRIiFgFS0ejb
        6RDyuO5fGKFqSypzQ9Q6bTrLjIarDOmBEWGJIZA/g3VfFmDOjHA13idF
        -----END PRIVATE KEY-----
        """

    static let alice = """
        -----BEGIN CERTIFICATE-----
        MIIBrjCCAVWgAwIBAgIUcj16ev0w9PxXcRVNLJguMqOz5/IwCgYIKoZIzj0EAwIw
        JDETMBEGA1UECgwKQXB1cyB0ZXN0czENMAsGA1UEAwwEcm9vdDAgFw0yNjExMjEx
        MjAyMDFaGA8yMTI2MTAyODEyMDIwMVowOjETMBEGA1UECgwKQXB1cyB0ZXN0czET
        MBEGA1UECwwKVGVhLCBibGFjazEOMAwGA1UEAwwFYWxpY2UwWTATBgcqhkjOPQIB
        BggqhkjOPQMBBwNCAATQQaGgK6tds2Ewg42ft/NNnj2P49kr5oihF+Ph3fVEyDdl
        s77MPt/CLZgHeMnkqdTY1/TaqUo8OXcvEkcCZQYio00wSzAJBgNVHRMEAjAAMB0G
        A1UdDgQWBBTmB+LlbAopj4kPRL3EEiiuj5G0fDAfBgNVHSMEGDAWgBRsP0uj86oT
        tauQqPrJ1UaGKRMF9jAKBggqhkjOPQQDAgNHADBEAiAGKh3dqs1N6qa6/KWWoNuf
        yeRyg56DUBPP6AA3RyAMXAIgJltSGWWYfXH5BDC+kP1dhOTJR7zL3oxsTfAwcjvc
        onM=
        -----END CERTIFICATE-----
        """

    static let aliceKey = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgEr4LFCGEflFqIRzy
        jIj0Y/jlstHXACpMLTf8Wu9YgdOhRANCAATQQaGgK6tds2Ewg42ft/NNnj2P49kr
        5oihF+Ph3fVEyDdls77MPt/CLZgHeMnkqdTY1/TaqUo8OXcvEkcCZQYi
        -----END PRIVATE KEY-----
        """
}
