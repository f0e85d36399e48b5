"""Hashes that Django, passlib, Werkzeug and bcrypt made of one password, as cheaply as they would. None is anybody's."""

PASSWORD = "correct horse battery"
MADE = {
    "django pbkdf2_sha256": "pbkdf2_sha256$1000$salty$ktixGvL+bGlTO4bK3F1CW8qCb3tVFt/1SjsW1eUxX5g=",
    "django pbkdf2_sha1": "pbkdf2_sha1$1000$salty$Q6bbW00CazZcHqSrra6l1NF3e8Y=",
    "django argon2": "argon2$argon2id$v=19$m=1024,t=1,p=2$c2FsdHlzYWx0$N/ac1Ifm4k+adTg4ReKoq/fO5dzHQoukT2bs4tNIh1o",
    "django bcrypt_sha256": "bcrypt_sha256$$2b$04$.SXGD.dcg49wG6GiujSj4e/giprEPieoZTT3wNiRoguhTC4HglRXe",
    "django bcrypt": "bcrypt$$2b$04$SNEbctbqjBiiYnJRD67BBexEv8LJx1zA9C4MXbnKCemkl2SFJhGmO",
    "django scrypt": "scrypt$1024$salty$8$1$k7GfyQ3fLkUvsW3wJM6rAjBFxoiekNULmyQLJrcGghOLG64LUJbQVYqSXrhaFpzYxRjx"
    "gYeCIum0ocooa4oa0A==",
    "passlib pbkdf2_sha256": "$pbkdf2-sha256$1000$xfjfO6eU8h6D0BpjbI3ROg$AO2JDkAoBZCS6qgadSfqZZ5uRSKZ7Xeft4Mwj7o9Mpc",
    "passlib pbkdf2_sha512": "$pbkdf2-sha512$1000$Qsg557x3zjnnvDdmbC2ltA$7rvA1PxKvyhythPOxyoMhTtzpssWRGST8xjyCQXzXo/Y0xm"
    "0rQ36Eu1oNXz1UcJspgSD1y04bLh6JhK7UV/YRg",
    "passlib pbkdf2_sha1": "$pbkdf2$1000$PWfMmROC0JrTGqM0xpjzvg$vB5XFf1LEEcwrf5tW9SvMNk.hZA",
    "passlib scrypt": "$scrypt$ln=10,r=8,p=1$Xus9JwRgLEUIoVRKaW0NAQ$3y7vE2r3L4kFIVFPsfEcsYVDTvmhzZ0t2iPEjQc9XUs",
    "passlib argon2": "$argon2i$v=19$m=512,t=2,p=1$FaIUgtAaI6RU6l2r1fp/rw$CcEC1+RyXn7BEMEdjXfVOEl+v1ktpWeekGvHhnFVCRU",
    "werkzeug scrypt 1024 8 1": "scrypt:1024:8:1$Mb8us7GMxLg7FxfE$855bcd911cdb671f17458f39e355b3a3fa780253f8d976e678f5f143c"
    "d764a2183c4bb8bc0fbaf3e8cdc95fc880e9746afeb1014e6a4fbba5dc9501ec85059cd",
    "werkzeug pbkdf2 sha256 1000": "pbkdf2:sha256:1000$BZ5pg0M8QcBGtLYK$e3fa257ebc7c369335c7b038c6bfc5e3b1e14857feb7"
    "4ed95803ba3e44ee8ea3",
    "werkzeug pbkdf2 sha512 1000": "pbkdf2:sha512:1000$FL3q4G6NDlGYiBAm$ff7af4509c681342c4f5bfe632bee7bc72fe360a4130"
    "7066bb1f7e"
    "4b4abb07bfc3605461cc03bc75188fd260274956dcc85460de0a3d88951598aac025862b47",
    "werkzeug pbkdf2 sha1 1000": "pbkdf2:sha1:1000$JGP0ZOJNYQJ3k0et$f1b24934ea6c14e80fc8cce96727cd25573b611a",
    "bcrypt 2a": "$2a$04$HVo6OPcSsMv2IG/1iAm5s.xDeyUJFOzWsYjh9bPUbTBCDrmUZ2x/6",
    "bcrypt 2b": "$2b$04$HVo6OPcSsMv2IG/1iAm5s.xDeyUJFOzWsYjh9bPUbTBCDrmUZ2x/6",
    "bcrypt 2y": "$2y$04$HVo6OPcSsMv2IG/1iAm5s.xDeyUJFOzWsYjh9bPUbTBCDrmUZ2x/6",
    "argon2id": "$argon2id$v=19$m=512,t=1,p=1$vtEHd+Ik8EiCC/5nnBK53Q$Lmwh2PrK+71KiMm2GRyPt/1z6LZQaHcD6qBhLEC4Nc8",
}
WEAK = (
    "$apr1$BhfV9JdF$625ge8sKKPWT0KRjCtrVw/",
    "$1$elT.Z5S4$x6xSe9wlVP5yP6AFBbqdR0",
    "{SHA}mN7MYuzjmaIu0w1JDvMzvn/ec4U=",
    "{SSHA}ESlB0ALx/AtLyx4ccxW+L2ArRr2J0XpP",
    "md5$U51RD9VmNnwNuLSKawizHK$d04664f203aa68f927a79123dec7d314",
    "sha1$salt$d04664f203aa68f927a79123dec7d314d04664f2",
    "d04664f203aa68f927a79123dec7d314",
    "N4Y1zu.YPxd/o",
    "$5$rounds=535000$L0PYjRVRpAJvEkg6$s0nEDJPR.iiuVh3amS15ktR//Lb9PkeRL6Wke1T8Fh.",
    "pbkdf2_sha256$999$salty$ktixGvL+bGlTO4bK3F1CW8qCb3tVFt/1SjsW1eUxX5g=",
)
NONE = ("", "!", "!!", "*", "!pkHzQFhNGYTAZ6CIbx1jGUmuUoGWbF2zzjkFGkXy")
LONG = "$2b$04$myln0hcLs3V9H3yQ.54pNOTHaVcWYpBbfjpu37Cx4qFYzGowx7cZ6"
"""bcrypt of 72 times x, and of whatever begins so."""
