"""Countries by the English names that the recorded tables use, as ISO 3166 codes."""

CODES = {
    "Afghanistan": "AF", "Albania": "AL", "Algeria": "DZ", "Andorra": "AD", "Anguilla": "AI", "Argentina": "AR",
    "Australia": "AU", "Bangladesh": "BD", "Barbados": "BB", "Brazil": "BR", "British Virgin Islands": "VG",
    "Canada": "CA", "Chile": "CL", "China": "CN", "Colombia": "CO", "Cuba": "CU", "Cyprus": "CY",
    "Czech Republic": "CZ", "Côte d'Ivoire": "CI", "Ecuador": "EC", "Egypt": "EG", "El Salvador": "SV",
    "Ethiopia": "ET", "Finland": "FI", "France": "FR", "Germany": "DE", "India": "IN", "Indonesia": "ID",
    "Iran": "IR", "Iraq": "IQ", "Italy": "IT", "Japan": "JP", "Jordan": "JO", "Kazakhstan": "KZ", "Kuwait": "KW",
    "Latvia": "LV", "Malaysia": "MY", "Mexico": "MX", "Morocco": "MA", "Netherlands": "NL", "Nigeria": "NG",
    "Pakistan": "PK", "Peru": "PE", "Philippines": "PH", "Poland": "PL", "Portugal": "PT", "Puerto Rico": "PR",
    "Romania": "RO", "Russia": "RU", "Samoa": "WS", "Saudi Arabia": "SA", "Serbia": "RS", "Singapore": "SG",
    "Somalia": "SO", "South Korea": "KR", "Spain": "ES", "Sweden": "SE", "Switzerland": "CH", "Syria": "SY",
    "Thailand": "TH", "Turkey": "TR", "Ukraine": "UA", "United Arab Emirates": "AE", "United Kingdom": "GB",
    "United States": "US", "Uruguay": "UY", "Venezuela": "VE", "Vietnam": "VN", "Yemen": "YE",
    "CÃ´te d'Ivoire": "CI",  # as one table writes it
}  # fmt: skip
