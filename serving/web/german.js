// The page's words in German. Descriptions stay in English, which is what models read.

export const GERMAN = {
  // the head
  "Person search": "Personensuche",
  "Skip to the results": "Zu den Ergebnissen",
  "connecting …": "verbinde …",
  "service not reachable": "Dienst nicht erreichbar",
  "model version {version}": "Modellversion {version}",
  "Page": "Seite",
  "Language": "Sprache",
  "Keyboard": "Tastatur",

  // the query
  "Describe the person": "Beschreiben Sie die Person auf Englisch",
  "Search": "Suchen",
  "Examples": "Beispiele",
  "Parts of the search": "Teile der Suche",
  "+ not …": "+ nicht …",
  "+ other words": "+ andere Worte",
  "+ picture": "+ Bild",
  "Picture of the person": "Bild der Person",
  "The person does not have": "Die Person hat nicht (englisch)",
  "The same person, in other words": "Dieselbe Person in anderen Worten (englisch)",
  "Add": "Hinzufügen",
  "or: {term}": "oder: {term}",
  "not {term}": "nicht: {term}",
  "like this person": "wie diese Person",
  "your picture": "Ihr Bild",
  "Remove “{words}”": "„{words}“ entfernen",
  "Weight of the picture": "Gewicht des Bildes",
  "words": "Worte",
  "picture": "Bild",

  // filters
  "filters": "Filter",
  "All cameras": "Alle Kameras",
  "{count} cameras": "{count} Kameras",
  "Cameras": "Kameras",
  "Find a camera": "Kamera suchen",
  "find a camera": "Kamera suchen",
  "choose all shown": "alle gezeigten wählen",
  "none": "keine",
  "No camera has this name.": "Keine Kamera heißt so.",
  "{crops} crops, the last on {time}": "{crops} Bilder, das letzte am {time}",
  "From": "Von",
  "Until": "Bis",
  "Start: first or second time": "Beginn: erstes oder zweites Mal",
  "End: first or second time": "Ende: erstes oder zweites Mal",
  "the first time, {zone}": "beim ersten Mal, {zone}",
  "the second time, {zone}": "beim zweiten Mal, {zone}",
  "“From” must be earlier than “Until”.": "„Von“ muss vor „Bis“ liegen.",
  "The clocks never show {date} at {time}: they go forward over it. Choose a time before or after.":
    "Die Uhren zeigen am {date} nie {time}: Sie werden darüber hinweg vorgestellt. Wählen Sie eine Zeit davor oder danach.",
  "A page": "Je Seite",
  "Purpose or case": "Zweck oder Fall",
  "recorded in the audit log": "wird im Protokoll vermerkt",
  "One result per track": "Ein Ergebnis je Spur",

  // candidates
  "Results": "Ergebnisse",
  "Results are candidates for a person to confirm. Every search is recorded.":
    "Ergebnisse sind Kandidaten, die ein Mensch bestätigt. Jede Suche wird protokolliert.",
  "1 candidate for a person to confirm": "1 Kandidat, den ein Mensch bestätigt",
  "{count} candidates for a person to confirm": "{count} Kandidaten, die ein Mensch bestätigt",
  "Candidates {first} to {last}, for a person to confirm": "Kandidaten {first} bis {last}, die ein Mensch bestätigt",
  "model {name}, version {version}, collection {collection}, {milliseconds} ms":
    "Modell {name}, Version {version}, Collection {collection}, {milliseconds} ms",
  "Size": "Größe",
  "Pages of candidates": "Seiten mit Kandidaten",
  "‹ Page before": "‹ Seite davor",
  "Next page ›": "Nächste Seite ›",
  "Person at camera {camera}, {time}": "Person an Kamera {camera}, {time}",
  "Cosine similarity of query and picture: {score}": "Kosinus-Ähnlichkeit von Anfrage und Bild: {score}",
  "score {score}": "Wert {score}",
  "confidence {share}": "Konfidenz {share}",
  "Open candidate {rank}": "Kandidat {rank} öffnen",
  "Confirm candidate {rank}": "Kandidat {rank} bestätigen",
  "Reject candidate {rank}": "Kandidat {rank} ablehnen",
  "More like candidate {rank}": "Mehr wie Kandidat {rank}",
  "Choose candidate {rank}": "Kandidat {rank} auswählen",
  "Confirm": "Bestätigen",
  "Reject": "Ablehnen",
  "More like this": "Mehr wie diese Person",
  "The verdict was not recorded.": "Das Urteil wurde nicht vermerkt.",

  // what is said of an answer
  "No results.": "Keine Ergebnisse.",
  "No crop in the gallery matches these filters.": "Kein Bild der Galerie passt zu diesen Filtern.",
  "No more results.": "Keine weiteren Ergebnisse.",
  "The page before was the last one.": "Die Seite davor war die letzte.",
  "No reliable match.": "Kein verlässlicher Treffer.",
  "The first fits with an estimated {share}. These are only the most similar; the person may be missing.":
    "Der erste passt mit geschätzt {share}. Dies sind nur die ähnlichsten; die Person kann fehlen.",
  "These are only the most similar; the person may be missing.": "Dies sind nur die ähnlichsten; die Person kann fehlen.",
  "Many fit this description.": "Viele passen zu dieser Beschreibung.",
  "{fitting} of the best candidates are likely to. Add details to tell them apart.":
    "{fitting} der besten Kandidaten wahrscheinlich. Nennen Sie mehr Einzelheiten.",
  "No confidence.": "Keine Konfidenz.",
  "This model was never calibrated: the order is by similarity alone.":
    "Dieses Modell wurde nie kalibriert: Die Reihenfolge folgt allein der Ähnlichkeit.",
  "No confidence for this kind of search.": "Keine Konfidenz für diese Art der Suche.",
  "It is calibrated for one description alone. The person may be missing.":
    "Kalibriert ist sie nur für eine einzelne Beschreibung. Die Person kann fehlen.",
  "The description is too long.": "Die Beschreibung ist zu lang.",
  "The model did not read the end: “{unread}”": "Das Modell hat das Ende nicht gelesen: „{unread}“",
  "Another model went live.": "Ein anderes Modell ist jetzt in Betrieb.",
  "This is the first page of its answer.": "Dies ist die erste Seite seiner Antwort.",

  // one candidate, several candidates
  "Candidate {rank}": "Kandidat {rank}",
  "Camera": "Kamera",
  "Time": "Zeit",
  "Confidence": "Konfidenz",
  "none for this search": "keine für diese Suche",
  "Score": "Wert",
  "Track": "Spur",
  "Crop": "Bild",
  "In the frame": "Im Kamerabild",
  "{width}×{height} px at ({x}, {y})": "{width}×{height} px bei ({x}, {y})",
  "Same track": "Dieselbe Spur",
  "loading …": "lade …",
  "Previous candidate": "Voriger Kandidat",
  "Next candidate": "Nächster Kandidat",
  "Close": "Schließen",
  "Chosen candidates": "Ausgewählte Kandidaten",
  "{count} chosen": "{count} gewählt",
  "Compare": "Vergleichen",
  "Clear": "Leeren",

  // verdicts
  "Note": "Notiz",
  "kept with the verdict": "wird mit dem Urteil aufbewahrt",
  "Verdicts of others": "Urteile anderer",
  "Earlier verdicts could not be loaded.": "Frühere Urteile konnten nicht geladen werden.",
  "confirmed by {who}": "bestätigt von {who}",
  "rejected by {who}": "abgelehnt von {who}",
  "asked for “{text}”": "gesucht war „{text}“",
  "asked for a picture": "gesucht war ein Bild",

  // reports
  "Report": "Bericht",
  "Download": "Herunterladen",
  "A ZIP file with marked pictures, queries, model, verdicts and hashes. The audit log records it.":
    "Eine ZIP-Datei mit gekennzeichneten Bildern, Anfragen, Modell, Urteilen und Prüfsummen. Das Protokoll vermerkt sie.",

  // searches of this browser
  "Searches": "Suchen dieses Browsers",
  "Save this search as": "Diese Suche speichern als",
  "Save": "Speichern",
  "Saved": "Gespeichert",
  "Latest": "Letzte",
  "None yet.": "Noch keine.",
  "Saved searches": "Gespeicherte Suchen",
  "Latest searches": "Letzte Suchen",
  "Forget “{title}”": "„{title}“ vergessen",
  "Forget the latest": "Letzte vergessen",
  "Kept in this browser, for everybody who uses it on this computer.":
    "In diesem Browser aufbewahrt, für alle, die ihn auf diesem Rechner benutzen.",

  // heat maps
  "Where the model sees the words": "Wo das Modell die Worte sieht",
  "where are the words?": "wo sind die Worte?",
  "looking …": "suche …",

  // keys
  "new search": "neue Suche",
  "candidate before, next candidate": "voriger, nächster Kandidat",
  "row above, row below": "Reihe darüber, Reihe darunter",
  "open the candidate": "Kandidat öffnen",
  "confirm": "bestätigen",
  "reject": "ablehnen",
  "more like this": "mehr wie diese Person",
  "choose, to compare or report": "auswählen, für Vergleich oder Bericht",
  "compare the chosen": "die Ausgewählten vergleichen",
  "report the chosen": "die Ausgewählten berichten",
  "searches of this browser": "Suchen dieses Browsers",
  "next page": "nächste Seite",
  "page before": "Seite davor",
  "these keys": "diese Tasten",
  "close, or clear the description": "schließen, oder die Beschreibung leeren",

  // what goes wrong
  "The search failed.": "Die Suche ist fehlgeschlagen.",
  "This time cannot be searched.": "Nach dieser Zeit kann nicht gesucht werden.",
  "The cameras could not be loaded.": "Die Kameras konnten nicht geladen werden.",
  "The service cannot be reached. Is it running?": "Der Dienst ist nicht erreichbar. Läuft er?",
  "An address does not contain the picture. Choose it again.": "Eine Adresse enthält das Bild nicht. Wählen Sie es noch einmal.",
  "“{name}” is no picture that this browser can read.": "„{name}“ ist kein Bild, das dieser Browser lesen kann.",

  // the key
  "API key": "API-Schlüssel",
  "Searching needs an API key. Whoever runs the service gives you yours.":
    "Die Suche braucht einen API-Schlüssel. Sie bekommen Ihren von denen, die den Dienst betreiben.",
  "Key": "Schlüssel",
  "Continue": "Weiter",
  "This key is not accepted.": "Dieser Schlüssel gilt nicht.",
  "Stored until you close this tab; never part of a web address.":
    "Gespeichert, bis Sie diesen Tab schließen; nie Teil einer Webadresse.",
};
